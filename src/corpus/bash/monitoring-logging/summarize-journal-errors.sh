#!/bin/bash
# Summarize the errors in the systemd journal since yesterday by service
set -euo pipefail

since=${1:-yesterday}
priority=${2:-err}

for tool in journalctl jq; do
  if ! command -v "$tool" >/dev/null; then
    echo "Error: $tool is required" >&2
    exit 1
  fi
done

entries=$(mktemp)
trap 'rm -f "$entries"' EXIT

journalctl --since "$since" -p "$priority" -o json --no-pager >"$entries"

total=$(wc -l <"$entries")
echo "$total messages of priority $priority or worse since $since"
((total > 0)) || exit 0

echo
echo "By service:"
jq -r '._SYSTEMD_UNIT // .SYSLOG_IDENTIFIER // "kernel"' "$entries" |
  sort | uniq -c | sort -rn

echo
echo "Most frequent messages:"
# Numbers are replaced, so that messages which differ only in them count as one.
# A message that is not valid text comes as an array of bytes.
jq -r 'if (.MESSAGE | type) == "string" then .MESSAGE else "(binary message)" end' "$entries" |
  sed -E 's/0x[0-9a-f]+/ADDR/g; s/[0-9]+/N/g' |
  cut -c 1-120 | sort | uniq -c | sort -rn | awk 'NR <= 15'
