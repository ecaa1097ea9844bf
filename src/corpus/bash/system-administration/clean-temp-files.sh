#!/bin/bash
# Delete temporary files older than seven days
set -euo pipefail

dir=${TMPDIR:-/tmp}
days=7
dry_run=false

while [[ $# -gt 0 ]]; do
  case $1 in
    --dir) dir=${2:?--dir needs a value}; shift 2 ;;
    --days) days=${2:?--days needs a value}; shift 2 ;;
    --dry-run) dry_run=true; shift ;;
    *) echo "Usage: $0 [--dir DIR] [--days N] [--dry-run]" >&2; exit 2 ;;
  esac
done

if [[ ! -d $dir || $dir == / ]]; then
  echo "Error: refusing to clean '$dir'" >&2
  exit 1
fi

old_files=(find "$dir" -xdev -mindepth 1 -type f -mtime "+$days")

if [[ $dry_run == true ]]; then
  "${old_files[@]}" -print
  exit 0
fi

count=$("${old_files[@]}" -print -delete | wc -l)
find "$dir" -xdev -mindepth 1 -type d -empty -mtime "+$days" -delete

echo "Deleted $count files older than $days days from $dir"
