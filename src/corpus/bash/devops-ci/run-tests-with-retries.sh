#!/bin/bash
# Run the tests in CI and retry up to three times if they fail
set -euo pipefail

max_attempts=3
delay=5

while getopts "n:d:" option; do
  case $option in
    n) max_attempts=$OPTARG ;;
    d) delay=$OPTARG ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))

if (($# == 0)); then
  echo "Usage: $0 [-n ATTEMPTS] [-d SECONDS] COMMAND [ARGUMENT...]" >&2
  echo "Example: $0 -n 5 npm test" >&2
  exit 2
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT

for ((attempt = 1; attempt <= max_attempts; attempt++)); do
  echo "--- Attempt $attempt of $max_attempts: $*"
  status=0
  "$@" 2>&1 | tee "$log" || status=$?

  if ((status == 0)); then
    if ((attempt > 1)); then
      echo "Tests passed only at attempt $attempt: they are flaky" >&2
    fi
    exit 0
  fi

  if ((attempt < max_attempts)); then
    echo "Tests failed with status $status, next attempt in $delay seconds" >&2
    sleep "$delay"
    delay=$((delay * 2))
  fi
done

echo "Tests failed $max_attempts times, last lines of the output:" >&2
tail -n 20 "$log" >&2
exit "$status"
