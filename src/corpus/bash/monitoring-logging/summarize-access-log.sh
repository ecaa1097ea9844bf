#!/bin/bash
# Summarize an nginx or Apache access log with the top addresses, pages and status codes
set -euo pipefail

log=${1:-/var/log/nginx/access.log}
top=${2:-10}

if [[ ! -r $log ]]; then
  echo "Error: cannot read $log" >&2
  exit 1
fi

# Rotated logs may be compressed; zcat -f reads both kinds.
read_log() {
  zcat -f -- "$log"
}

section() {
  echo
  echo "$1"
  sort | uniq -c | sort -rn | awk -v top="$top" 'NR <= top'
}

# Combined log format: address - user [time] "method path protocol" status bytes ...
read_log | awk '
  { requests++; bytes += $10; seen[$1] = 1 }
  $9 ~ /^5/ { errors++ }
  END {
    if (requests == 0) { print "The log is empty"; exit }
    printf "Requests:  %d\n", requests
    printf "Addresses: %d\n", length(seen)
    printf "Sent:      %.1f MiB\n", bytes / 1048576
    printf "Errors:    %d (%.2f%%)\n", errors, 100 * errors / requests
  }'

read_log | awk '{print $1}' | section "Addresses:"
read_log | awk '{sub(/\?.*/, "", $7); print $7}' | section "Pages:"
read_log | awk '{print $9}' | section "Status codes:"
read_log | awk '$9 == 404 {print $7}' | section "Pages not found:"
read_log | awk '{print substr($4, 14, 2) ":00"}' | section "Busiest hours:"
