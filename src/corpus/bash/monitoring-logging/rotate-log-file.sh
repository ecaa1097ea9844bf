#!/bin/bash
# Rotate a log file when it is larger than 10 MB and keep the last 5 compressed copies
set -euo pipefail

log=${1:?usage: $0 LOG_FILE [MAX_MB] [KEEP]}
max_mb=${2:-10}
keep=${3:-5}

if [[ ! -f $log ]]; then
  echo "Error: $log is not a file" >&2
  exit 1
fi

size=$(stat -c %s "$log")
if ((size < max_mb * 1024 * 1024)); then
  echo "$log has $size bytes, nothing to do"
  exit 0
fi

# Only one rotation at a time.
exec 9>"$log.lock"
if ! flock -n 9; then
  echo "Error: another rotation of $log is running" >&2
  exit 1
fi

# Shift log.4.gz to log.5.gz, log.3.gz to log.4.gz and so on.
rm -f "$log.$keep.gz"
for ((i = keep - 1; i >= 1; i--)); do
  if [[ -f $log.$i.gz ]]; then
    mv "$log.$i.gz" "$log.$((i + 1)).gz"
  fi
done

# Copy and truncate, so that a program with the file open keeps writing to it.
gzip -c "$log" >"$log.1.gz"
: >"$log"

echo "Rotated $log ($((size / 1024 / 1024)) MiB)"
