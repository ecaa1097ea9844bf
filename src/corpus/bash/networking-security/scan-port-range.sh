#!/bin/bash
# Scan a range of TCP ports on a host and print the open ones with their service names
set -euo pipefail

host=${1:-localhost}
first=${2:-1}
last=${3:-1024}
workers=64

for value in "$first" "$last"; do
  if ! [[ $value =~ ^[0-9]+$ ]] || ((value < 1 || value > 65535)); then
    echo "Usage: $0 [HOST] [FIRST_PORT] [LAST_PORT]" >&2
    exit 2
  fi
done

address=$(getent ahosts "$host" | awk 'NR == 1 {print $1}') || true
if [[ -z $address ]]; then
  echo "Error: cannot resolve $host" >&2
  exit 1
fi

probe() {
  if timeout 1 bash -c "exec 3<>/dev/tcp/$address/$1" 2>/dev/null; then
    echo "$1"
  fi
}

service_name() {
  local name
  name=$(getent services "$1/tcp" | awk '{print $1}') || true
  echo "${name:-unknown}"
}

echo "Scanning $host ($address) ports $first-$last ..." >&2

# The probes run side by side, so their answers arrive out of order.
scan() {
  local port
  for ((port = first; port <= last; port++)); do
    probe "$port" &
    if ((port % workers == 0)); then
      wait
    fi
  done
  wait
}

mapfile -t open < <(scan | sort -n)

for port in "${open[@]}"; do
  printf '%5d/tcp  %s\n' "$port" "$(service_name "$port")"
done
echo "${#open[@]} open ports" >&2
