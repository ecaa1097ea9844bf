#!/bin/bash
# List all listening TCP and UDP ports with the process and mark the ones reachable from outside
set -euo pipefail

if ! command -v ss >/dev/null; then
  echo "Error: ss not found, install the iproute2 package" >&2
  exit 1
fi

if [[ $EUID -ne 0 ]]; then
  echo "Note: run as root to see the processes of other users" >&2
fi

printf '%-5s %-28s %-7s %-9s %s\n' PROTO ADDRESS PORT REACH PROCESS

# Columns of ss: netid state recv-q send-q local peer [users:(("name",pid=1,fd=3))]
ss -H -tulnp | awk '
  {
    port = $5
    sub(/.*:/, "", port)
    address = $5
    sub(/:[^:]*$/, "", address)

    reach = "external"
    if (address ~ /^127\./ || address == "[::1]" || address ~ /%lo$/) {
      reach = "local"
    }

    process = "-"
    if (match($0, /\(\("[^"]+",pid=[0-9]+/)) {
      process = substr($0, RSTART + 3, RLENGTH - 3)
      sub(/",pid=/, "/", process)
    }
    printf "%-5s %-28s %-7s %-9s %s\n", $1, address, port, reach, process
  }' | sort -u -k1,1 -k3,3n -k2,2
