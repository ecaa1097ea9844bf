#!/bin/bash
# Rotate the log files of an application, compress them and keep five old copies
set -euo pipefail
shopt -s nullglob

log_dir=${1:?Usage: $0 LOG_DIR [KEEP] [MAX_MEGABYTES]}
keep=${2:-5}
max_bytes=$((${3:-10} * 1024 * 1024))

[[ -d $log_dir ]] || { echo "Error: no directory $log_dir" >&2; exit 1; }

rotate() {
  local log=$1 i
  rm -f -- "$log.$keep.gz"
  for ((i = keep - 1; i >= 1; i--)); do
    if [[ -f $log.$i.gz ]]; then
      mv -- "$log.$i.gz" "$log.$((i + 1)).gz"
    fi
  done
  # Copy, then truncate: the application keeps its file open.
  gzip -c -- "$log" >"$log.1.gz"
  : >"$log"
}

rotated=0
for log in "$log_dir"/*.log; do
  size=$(stat -c %s -- "$log")
  if ((size >= max_bytes)); then
    rotate "$log"
    echo "Rotated $log ($size bytes)"
    rotated=$((rotated + 1))
  fi
done

echo "$rotated log files rotated"
