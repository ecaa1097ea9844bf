#!/bin/bash
# Count the established connections per remote IP address and flag addresses above a limit
set -euo pipefail

limit=${1:-100}
local_port=${2:-}

if ! [[ $limit =~ ^[0-9]+$ ]]; then
  echo "Usage: $0 [LIMIT] [LOCAL_PORT]" >&2
  exit 2
fi

filter=()
if [[ -n $local_port ]]; then
  filter=("( sport = :$local_port )")
fi

# Without a state column the peer is field 4.
ss -Htn state established "${filter[@]}" |
  awk -v limit="$limit" '
    {
      peer = $4
      sub(/:[0-9]+$/, "", peer)   # drop the port
      gsub(/[][]/, "", peer)      # drop the brackets of IPv6
      sub(/^::ffff:/, "", peer)   # IPv4 mapped into IPv6
      count[peer]++
      total++
    }
    END {
      for (peer in count) {
        printf "%6d  %s%s\n", count[peer], peer, count[peer] > limit ? "  <-- above limit" : ""
      }
      printf "%6d  total\n", total
    }' |
  sort -rn
