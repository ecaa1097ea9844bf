#!/bin/bash
# Compress all log files older than 30 days
set -euo pipefail

dir=${1:-/var/log}
days=${2:-30}

if [[ ! -d $dir || ! $days =~ ^[0-9]+$ ]]; then
  echo "Usage: $0 [DIRECTORY] [DAYS]" >&2
  exit 2
fi

compressed=0
saved=0

while IFS= read -r -d '' file; do
  # Leave a file alone that a process still writes to.
  if command -v fuser >/dev/null && fuser -s "$file" 2>/dev/null; then
    echo "In use: $file" >&2
    continue
  fi

  before=$(stat -c %s -- "$file")
  # gzip keeps the owner, the mode and the time of the file.
  gzip -9 -- "$file"
  after=$(stat -c %s -- "$file.gz")

  compressed=$((compressed + 1))
  saved=$((saved + before - after))
done < <(find "$dir" -type f -name '*.log' -size +0 -mtime "+$days" -print0)

echo "Compressed $compressed files, saved $(numfmt --to=iec -- "$saved")"
