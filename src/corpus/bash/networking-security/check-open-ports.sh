#!/bin/bash
# Check whether a list of hosts answers on a port and report the ones that do not
set -euo pipefail

usage() {
  echo "Usage: $0 PORT HOST [HOST...]" >&2
  exit 2
}

[[ $# -ge 2 ]] || usage

port=$1
shift

if ! [[ $port =~ ^[0-9]+$ ]] || ((port < 1 || port > 65535)); then
  echo "Error: port must be a number from 1 to 65535, got '$port'" >&2
  exit 2
fi

# Opening /dev/tcp makes bash connect; timeout stops hosts that drop packets.
port_is_open() {
  timeout 3 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null
}

closed=()
for host in "$@"; do
  if [[ $host =~ ^[A-Za-z0-9.:-]+$ ]] && port_is_open "$host" "$port"; then
    echo "open    $host:$port"
  else
    echo "closed  $host:$port"
    closed+=("$host")
  fi
done

if ((${#closed[@]} > 0)); then
  echo "${#closed[@]} of $# hosts do not answer on port $port: ${closed[*]}" >&2
  exit 1
fi

echo "All $# hosts answer on port $port"
