#!/bin/bash
# Find duplicate files in a directory by their checksums
set -euo pipefail

dir=${1:-.}
[[ -d $dir ]] || { echo "Usage: $0 [DIRECTORY]" >&2; exit 2; }

sizes=$(mktemp)
trap 'rm -f "$sizes"' EXIT

# Only files of equal size can be equal, so hash nothing else.
find "$dir" -type f -size +0 -printf '%s\t%p\0' >"$sizes"

declare -A count paths
while IFS=$'\t' read -r -d '' size _; do
  count[$size]=$((${count[$size]:-0} + 1))
done <"$sizes"

while IFS=$'\t' read -r -d '' size path; do
  ((count[$size] > 1)) || continue
  hash=$(sha256sum <"$path" | cut -d' ' -f1)
  paths[$hash]+="${paths[$hash]:+$'\n'}$path"
done <"$sizes"

groups=0
for hash in "${!paths[@]}"; do
  if [[ ${paths[$hash]} == *$'\n'* ]]; then
    groups=$((groups + 1))
    printf '%s\n\n' "${paths[$hash]}"
  fi
done

echo "Found $groups groups of duplicate files" >&2
