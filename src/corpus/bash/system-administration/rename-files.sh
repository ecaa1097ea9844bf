#!/bin/bash
# Rename all files in a directory to lower case with dashes instead of spaces
set -euo pipefail

dry_run=0
if [[ ${1:-} == -n ]]; then
  dry_run=1
  shift
fi
dir=${1:-.}

if [[ ! -d $dir ]]; then
  echo "Usage: $0 [-n] [DIRECTORY]" >&2
  exit 2
fi

clean_name() {
  local name=${1,,}
  name=${name//[[:space:]]/-}
  while [[ $name == *--* ]]; do
    name=${name//--/-}
  done
  printf '%s' "$name"
}

renamed=0
for path in "$dir"/*; do
  [[ -f $path ]] || continue
  old=${path##*/}
  new=$(clean_name "$old")
  [[ $old == "$new" ]] && continue

  if [[ -e $dir/$new ]]; then
    echo "Skipping '$old': '$new' already exists" >&2
    continue
  fi
  echo "$old -> $new"
  if ((!dry_run)); then
    mv -- "$path" "$dir/$new"
  fi
  renamed=$((renamed + 1))
done

echo "$renamed files renamed"
