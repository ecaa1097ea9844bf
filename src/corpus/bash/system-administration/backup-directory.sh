#!/bin/bash
# Create a compressed backup of a directory and keep the last seven
set -euo pipefail

usage() {
  echo "Usage: $(basename "$0") SOURCE_DIR BACKUP_DIR [KEEP]" >&2
  exit 2
}

[[ $# -ge 2 && $# -le 3 ]] || usage
source_dir=${1%/}
backup_dir=${2%/}
keep=${3:-7}

if [[ ! -d $source_dir ]]; then
  echo "Error: $source_dir is not a directory" >&2
  exit 1
fi
if [[ ! $keep =~ ^[1-9][0-9]*$ ]]; then
  echo "Error: KEEP must be a positive number" >&2
  exit 2
fi

mkdir -p "$backup_dir"
name=$(basename "$source_dir")
archive="$backup_dir/$name-$(date +%Y%m%d-%H%M%S).tar.gz"
partial="$archive.partial"
trap 'rm -f -- "$partial"' EXIT

tar -czf "$partial" -C "$(dirname "$source_dir")" "$name"
gzip -t "$partial"
mv "$partial" "$archive"
echo "Created $archive ($(du -h "$archive" | cut -f1))"

# The names sort by date, so everything but the last KEEP is old.
mapfile -t archives < <(
  find "$backup_dir" -maxdepth 1 -type f -name "$name-*.tar.gz" | sort
)
excess=$((${#archives[@]} - keep))
for ((i = 0; i < excess; i++)); do
  rm -f -- "${archives[i]}"
  echo "Removed ${archives[i]}"
done
