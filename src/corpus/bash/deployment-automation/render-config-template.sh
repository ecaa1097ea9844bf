#!/bin/bash
# Render a configuration template by replacing placeholders like {{NAME}} with environment variables
set -euo pipefail

template=${1:-}
output=${2:-/dev/stdout}

if [[ ! -r $template ]]; then
  echo "Usage: NAME=value ... $0 TEMPLATE [OUTPUT]" >&2
  exit 2
fi

# Find every name once and stop before anything is written if one is not set.
mapfile -t names < <(grep -oE '\{\{[A-Z_][A-Z0-9_]*\}\}' "$template" | tr -d '{}' | sort -u)

missing=()
for name in "${names[@]}"; do
  if [[ -z ${!name+set} ]]; then
    missing+=("$name")
  fi
done

if ((${#missing[@]} > 0)); then
  echo "Error: these variables are not set: ${missing[*]}" >&2
  exit 1
fi

content=$(<"$template")
for name in "${names[@]}"; do
  # Quotes keep an & or a * in the value from having a meaning of its own.
  content=${content//"{{$name}}"/"${!name}"}
done

if [[ $output == /dev/stdout ]]; then
  printf '%s\n' "$content"
  exit 0
fi

if [[ -f $output ]] && [[ $(<"$output") == "$content" ]]; then
  echo "$output is up to date"
  exit 0
fi

umask 077
printf '%s\n' "$content" >"$output.tmp"
mv "$output.tmp" "$output"
echo "Wrote $output with ${#names[@]} variables"
