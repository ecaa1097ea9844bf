#!/bin/bash
# Follow a log file and send a webhook alert when a line matches an error pattern
set -euo pipefail

log=${1:-}
pattern=${2:-'ERROR|FATAL|panic'}
webhook=${ALERT_WEBHOOK:-}
quiet_seconds=60

if [[ ! -r $log ]]; then
  echo "Usage: ALERT_WEBHOOK=https://... $0 LOG_FILE [PATTERN]" >&2
  exit 2
fi

send_alert() {
  local text=$1 payload
  if [[ -z $webhook ]]; then
    echo "ALERT: $text"
    return
  fi
  # jq escapes quotes and control characters for JSON.
  payload=$(jq -n --arg text "[$(hostname)] $text" '{text: $text}')
  curl -fsS --max-time 10 -H 'Content-Type: application/json' \
    -d "$payload" "$webhook" >/dev/null || echo "Cannot reach the webhook" >&2
}

last=-$quiet_seconds
suppressed=0

# -F opens the file again after a rotation.
while IFS= read -r line; do
  [[ $line =~ $pattern ]] || continue
  if ((SECONDS - last < quiet_seconds)); then
    suppressed=$((suppressed + 1))
    continue
  fi
  if ((suppressed > 0)); then
    line+=" (and $suppressed more since the last alert)"
  fi
  send_alert "$line"
  last=$SECONDS
  suppressed=0
done < <(tail -n 0 -F "$log" 2>/dev/null)
