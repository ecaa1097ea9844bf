#!/bin/bash
# Find all hosts on the local network that answer a ping
set -euo pipefail

# Without an argument, take the first three octets of the main address.
default_prefix() {
  ip -4 route get 1.1.1.1 | grep -oP 'src \K\d+\.\d+\.\d+'
}

prefix=${1:-$(default_prefix)}

if ! [[ $prefix =~ ^([0-9]{1,3}\.){2}[0-9]{1,3}$ ]]; then
  echo "Usage: $0 [PREFIX]   for example: $0 192.168.1" >&2
  exit 2
fi

results=$(mktemp)
trap 'rm -f "$results"' EXIT

probe() {
  local address=$1 name
  ping -c 1 -W 1 "$address" &>/dev/null || return 0
  name=$(getent hosts "$address" | awk '{print $2; exit}') || true
  printf '%-15s  %s\n' "$address" "${name:--}" >>"$results"
}

echo "Sweeping $prefix.1-254 ..." >&2
for i in {1..254}; do
  probe "$prefix.$i" &
  # At most 50 pings at a time.
  while (($(jobs -rp | wc -l) >= 50)); do
    wait -n || true
  done
done
wait

sort -t . -k 4,4n "$results"
echo "$(wc -l <"$results") hosts are up" >&2
