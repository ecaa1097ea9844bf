#!/bin/bash
# Stop a process gracefully and kill it if it does not exit in ten seconds
set -euo pipefail

grace=${2:-10}

if [[ $# -lt 1 || ! $1 =~ ^[0-9]+$ ]]; then
  echo "Usage: $0 PID [SECONDS]" >&2
  exit 2
fi
pid=$1

if ((pid <= 1)); then
  echo "Error: refusing to stop process $pid" >&2
  exit 2
fi

is_running() {
  kill -0 "$pid" 2>/dev/null
}

if ! is_running; then
  echo "Process $pid is not running, or belongs to another user" >&2
  exit 1
fi

echo "Stopping $(ps -o args= -p "$pid") (PID $pid)"
kill -TERM "$pid"

deadline=$((SECONDS + grace))
while is_running && ((SECONDS < deadline)); do
  sleep 0.2
done

if is_running; then
  echo "Still running after $grace seconds, sending KILL" >&2
  kill -KILL "$pid"
  sleep 0.5
fi

if is_running; then
  echo "Error: process $pid could not be killed" >&2
  exit 1
fi
echo "Process $pid stopped"
