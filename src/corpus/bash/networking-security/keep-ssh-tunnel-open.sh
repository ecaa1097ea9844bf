#!/bin/bash
# Open an SSH tunnel from a local port to a remote service and reconnect when it drops
set -euo pipefail

if [[ $# -ne 3 ]]; then
  echo "Usage: $0 USER@HOST LOCAL_PORT REMOTE_HOST:REMOTE_PORT" >&2
  echo "Example: $0 admin@bastion 5433 db.internal:5432" >&2
  exit 2
fi

server=$1
local_port=$2
remote=$3
delay=1
max_delay=60

log() {
  echo "$(date '+%F %T') $*" >&2
}

if ss -Hltn "sport = :$local_port" | grep -q .; then
  log "Port $local_port is already in use"
  exit 1
fi

trap 'log "Tunnel closed"; exit 0' INT TERM

while true; do
  started=$SECONDS
  log "Connecting localhost:$local_port -> $remote through $server"
  # The alive checks make ssh end when the connection hangs.
  ssh -N -L "127.0.0.1:$local_port:$remote" \
    -o ExitOnForwardFailure=yes \
    -o ServerAliveInterval=15 \
    -o ServerAliveCountMax=3 \
    "$server" || log "ssh ended with status $?"

  # A connection that held for a minute resets the waiting time.
  if ((SECONDS - started > 60)); then
    delay=1
  fi
  log "Reconnecting in $delay s"
  sleep "$delay"
  delay=$((delay * 2 > max_delay ? max_delay : delay * 2))
done
