#!/bin/bash
# Wait until a URL answers with status 200 after a deployment and fail after a timeout
set -euo pipefail

url=${1:-}
timeout=${2:-60}
interval=2

if [[ -z $url ]]; then
  echo "Usage: $0 URL [TIMEOUT_SECONDS]" >&2
  exit 2
fi

deadline=$((SECONDS + timeout))
attempt=0
successes=0

# Two good answers in a row, as one alone may come from the old process.
while ((SECONDS < deadline)); do
  attempt=$((attempt + 1))
  code=$(curl -s -o /dev/null --max-time 5 -w '%{http_code}' "$url") || true

  if [[ $code == 200 ]]; then
    successes=$((successes + 1))
    if ((successes == 2)); then
      echo "$url is healthy after $SECONDS s and $attempt attempts"
      exit 0
    fi
  else
    successes=0
    echo "Attempt $attempt: status $code" >&2
  fi
  sleep "$interval"
done

echo "Error: $url is not healthy after $timeout s" >&2
exit 1
