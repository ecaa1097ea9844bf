#!/bin/bash
# Find the largest log files, show who writes to them and how fast they grow
set -euo pipefail

directory=${1:-/var/log}
count=${2:-10}
seconds=10

if [[ ! -d $directory ]]; then
  echo "Usage: $0 [DIRECTORY] [COUNT]" >&2
  exit 2
fi

mapfile -t files < <(
  find "$directory" -type f -printf '%s %p\n' 2>/dev/null |
    sort -rn | awk -v n="$count" 'NR <= n {sub(/^[0-9]+ /, ""); print}'
)

if ((${#files[@]} == 0)); then
  echo "No files in $directory"
  exit 0
fi

declare -A before
for file in "${files[@]}"; do
  before[$file]=$(stat -c %s -- "$file")
done

echo "Measuring for $seconds seconds ..." >&2
sleep "$seconds"

printf '%8s %12s  %-16s %s\n' SIZE GROWTH/H WRITER FILE
for file in "${files[@]}"; do
  # The file may have been rotated away in the meantime.
  size=$(stat -c %s -- "$file" 2>/dev/null) || continue
  growth=$(((size - before[$file]) * 3600 / seconds))
  writer=-
  if pids=$(fuser "$file" 2>/dev/null); then
    read -r pid _ <<<"$pids"
    writer=$(ps -o comm= -p "$pid") || writer=-
  fi
  printf '%8s %12s  %-16s %s\n' "$(numfmt --to=iec "$size")" \
    "$(numfmt --to=iec -- "$growth")" "$writer" "$file"
done
