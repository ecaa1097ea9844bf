#!/bin/bash
# Check that all tools needed for the build are installed in the right version
set -euo pipefail

# name, lowest version, command that prints the version
requirements='
git     2.25  git --version
make    4.0   make --version
docker  20.10 docker --version
node    18.0  node --version
jq      1.6   jq --version
'

at_least() {
  [[ $(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]
}

missing=0
while read -r name minimum command; do
  [[ -n $name ]] || continue

  if ! command -v "$name" >/dev/null; then
    printf '%-8s missing, %s or newer is needed\n' "$name" "$minimum"
    missing=$((missing + 1))
    continue
  fi

  output=$(bash -c "$command" 2>&1 || true)
  if [[ ! $output =~ [0-9]+(\.[0-9]+)+ ]]; then
    printf '%-8s unknown version: %s\n' "$name" "$output"
    missing=$((missing + 1))
  elif at_least "$minimum" "${BASH_REMATCH[0]}"; then
    printf '%-8s ok, %s\n' "$name" "${BASH_REMATCH[0]}"
  else
    printf '%-8s too old: %s, need %s\n' "$name" "${BASH_REMATCH[0]}" "$minimum"
    missing=$((missing + 1))
  fi
done <<<"$requirements"

exit $((missing > 0))
