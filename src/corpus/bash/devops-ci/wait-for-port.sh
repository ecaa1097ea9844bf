#!/bin/bash
# Wait until a port of a host accepts connections, then run a command
set -euo pipefail

timeout=60

usage() {
  echo "Usage: $0 [-t SECONDS] HOST:PORT [COMMAND [ARGUMENT...]]" >&2
  exit 2
}

if [[ ${1:-} == -t ]]; then
  timeout=${2:?-t needs a number of seconds}
  shift 2
fi
[[ ${1:-} =~ ^[A-Za-z0-9.-]+:[0-9]+$ ]] || usage
host=${1%:*}
port=${1##*:}
shift

is_open() {
  timeout 2 bash -c ": </dev/tcp/$host/$port" 2>/dev/null
}

start=$SECONDS
until is_open; do
  if ((SECONDS - start >= timeout)); then
    echo "Error: $host:$port did not open in $timeout seconds" >&2
    exit 1
  fi
  sleep 1
done

echo "$host:$port is open after $((SECONDS - start)) seconds" >&2

if (($# > 0)); then
  exec "$@"
fi
