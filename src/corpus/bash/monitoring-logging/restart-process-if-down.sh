#!/bin/bash
# Watch a process and restart it when it stops running
set -euo pipefail

if [[ $# -lt 2 ]]; then
  echo "Usage: $0 PID_FILE COMMAND [ARGUMENT...]" >&2
  exit 2
fi

pid_file=$1
shift
interval=10
max_restarts=5

log() {
  echo "$(date '+%F %T') $*"
}

# Signal 0 only asks whether the process exists.
is_running() {
  local pid
  [[ -s $pid_file ]] || return 1
  read -r pid <"$pid_file"
  [[ $pid =~ ^[0-9]+$ ]] && kill -0 "$pid" 2>/dev/null
}

start() {
  nohup "$@" >>"$pid_file.log" 2>&1 &
  echo $! >"$pid_file"
  log "Started $1 with pid $!"
}

trap 'log "Watcher stopped, the process keeps running"; exit 0' INT TERM

restarts=0
while true; do
  if is_running; then
    restarts=0
  elif ((restarts >= max_restarts)); then
    log "Gave up after $max_restarts restarts in a row, see $pid_file.log" >&2
    exit 1
  else
    log "$1 is not running"
    start "$@"
    restarts=$((restarts + 1))
  fi
  sleep "$interval"
done
