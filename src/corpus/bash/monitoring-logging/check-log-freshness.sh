#!/bin/bash
# Alert when a log file has not been written to for more than 15 minutes
set -euo pipefail

max_minutes=15
if [[ ${1:-} == -m ]]; then
  max_minutes=${2:?"-m needs a number of minutes"}
  shift 2
fi

if [[ $# -eq 0 ]]; then
  echo "Usage: $0 [-m MINUTES] LOG_FILE..." >&2
  exit 2
fi

now=$(date +%s)
stale=0

for file in "$@"; do
  if [[ ! -e $file ]]; then
    echo "MISSING $file"
    stale=$((stale + 1))
    continue
  fi

  age=$(((now - $(stat -c %Y -- "$file")) / 60))
  if ((age > max_minutes)); then
    echo "STALE   $file: last write $age minutes ago"
    stale=$((stale + 1))
  else
    echo "FRESH   $file: last write $age minutes ago"
  fi
done

# The exit code tells cron or a monitoring agent whether to raise an alarm.
exit $((stale > 0 ? 1 : 0))
