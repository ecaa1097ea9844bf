#!/bin/bash
# Send an email alert when the disk usage of any file system is above 80 percent
set -euo pipefail

threshold=${1:-80}
recipient=${2:-root}

if ! [[ $threshold =~ ^[0-9]+$ ]] || ((threshold > 100)); then
  echo "Usage: $0 [PERCENT] [EMAIL]" >&2
  exit 2
fi

alerts=()

# Memory-backed file systems are left out, they never fill a disk.
while read -r percent available mount; do
  used=${percent%\%}
  # Pseudo file systems without blocks show a dash.
  if [[ $used =~ ^[0-9]+$ ]] && ((used >= threshold)); then
    alerts+=("$mount is $used% full, $available left")
  fi
done < <(df -h --output=pcent,avail,target -x tmpfs -x devtmpfs -x overlay -x squashfs | tail -n +2)

if ((${#alerts[@]} == 0)); then
  echo "All file systems are below $threshold%"
  exit 0
fi

message=$(printf '%s\n' "${alerts[@]}")
echo "$message" >&2

if command -v mail >/dev/null; then
  mail -s "Disk usage alert on $(hostname)" "$recipient" <<<"$message"
else
  logger -t disk-alert -p user.warning -- "$message"
fi
exit 1
