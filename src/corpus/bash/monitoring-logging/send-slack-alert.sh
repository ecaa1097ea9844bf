#!/bin/bash
# Send an alert message with a severity color to a Slack channel through a webhook
set -euo pipefail

usage() {
  echo "Usage: $0 [-s info|warning|critical] [-c CHANNEL] MESSAGE..." >&2
  echo "       COMMAND | $0 [-s SEVERITY]" >&2
  exit 2
}

severity=info
channel=""
while getopts "s:c:h" option; do
  case $option in
    s) severity=$OPTARG ;;
    c) channel=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))

: "${SLACK_WEBHOOK_URL:?set SLACK_WEBHOOK_URL to the address of the webhook}"

case $severity in
  info) color="#2eb886" ;;
  warning) color="#daa038" ;;
  critical) color="#cc0000" ;;
  *) usage ;;
esac

# The text comes from the arguments or from a pipe.
if [[ $# -gt 0 ]]; then
  text=$*
elif [[ ! -t 0 ]]; then
  text=$(cat)
else
  usage
fi

payload=$(jq -n \
  --arg channel "$channel" --arg color "$color" \
  --arg title "${severity^^} on $(hostname)" --arg text "$text" '
  {attachments: [{color: $color, title: $title, text: $text}]}
  + if $channel == "" then {} else {channel: $channel} end')

curl -fsS --retry 3 --max-time 15 \
  -H 'Content-Type: application/json' \
  --data "$payload" "$SLACK_WEBHOOK_URL" >/dev/null
echo "Alert sent"
