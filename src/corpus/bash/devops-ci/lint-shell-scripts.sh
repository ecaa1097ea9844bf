#!/bin/bash
# Check all shell scripts of a git repository with shellcheck and bash -n
set -euo pipefail

cd "$(git rev-parse --show-toplevel)"

if ! command -v shellcheck >/dev/null; then
  echo "Error: shellcheck is not installed" >&2
  exit 127
fi

is_shell_script() {
  [[ $1 == *.sh ]] && return 0
  [[ $1 == *.* || ! -f $1 ]] && return 1
  local first_line
  IFS= read -r first_line <"$1" 2>/dev/null || true
  [[ ${first_line:-} =~ ^#!.*[/\ ](ba)?sh([[:space:]]|$) ]]
}

checked=0
failed=()

while IFS= read -r -d '' file; do
  is_shell_script "$file" || continue
  checked=$((checked + 1))
  if ! bash -n "$file" || ! shellcheck --external-sources "$file"; then
    failed+=("$file")
  fi
done < <(git ls-files -z)

echo "Checked $checked scripts, ${#failed[@]} with problems"
if ((${#failed[@]} > 0)); then
  printf '  %s\n' "${failed[@]}" >&2
  exit 1
fi
