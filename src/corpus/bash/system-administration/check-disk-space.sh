#!/bin/bash
# Check disk space and warn when a filesystem is more than 90 percent full
set -euo pipefail

threshold=${1:-90}

if [[ ! $threshold =~ ^[0-9]+$ ]] || ((threshold > 100)); then
  echo "Usage: $0 [PERCENT]" >&2
  exit 2
fi

# Memory filesystems and read-only images are left out.
list_filesystems() {
  df -h --local --output=pcent,avail,target \
    --exclude-type=tmpfs --exclude-type=devtmpfs --exclude-type=squashfs |
    awk 'NR > 1 && $1 ~ /^[0-9]+%$/'
}

status=0
while read -r used available mount; do
  percent=${used%\%}
  if ((percent >= threshold)); then
    echo "WARNING: $mount is ${percent}% full, $available left" >&2
    status=1
  else
    echo "OK: $mount is ${percent}% full, $available left"
  fi
done < <(list_filesystems)

exit "$status"
