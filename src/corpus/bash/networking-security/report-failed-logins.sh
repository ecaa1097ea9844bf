#!/bin/bash
# Report failed SSH logins by IP address and by user name from the authentication log
set -euo pipefail

log=${1:-}
top=${2:-10}

# Debian and Red Hat keep the log under different names.
if [[ -z $log ]]; then
  for candidate in /var/log/auth.log /var/log/secure; do
    if [[ -r $candidate ]]; then
      log=$candidate
      break
    fi
  done
fi

if [[ ! -r $log ]]; then
  echo "Usage: $0 [LOG_FILE] [TOP]   (cannot read '${log:-any log}')" >&2
  exit 1
fi

# Lines look like:
#   ... sshd[12]: Failed password for [invalid user] bob from 10.0.0.5 port 4 ssh2
failures=$(grep -E 'sshd.*Failed password for' "$log" || true)

if [[ -z $failures ]]; then
  echo "No failed logins in $log"
  exit 0
fi

rank() {
  sort | uniq -c | sort -rn | awk -v top="$top" 'NR <= top'
}

echo "Failed logins in $log: $(wc -l <<<"$failures")"
echo
echo "By address:"
grep -oP ' from \K[0-9a-fA-F.:]+' <<<"$failures" | rank
echo
echo "By user:"
grep -oP 'Failed password for (invalid user )?\K\S+(?= from)' <<<"$failures" | rank
