#!/bin/bash
# Show the incoming and outgoing traffic of a network interface every few seconds
set -euo pipefail

interface=${1:-$(ip route show default | awk '{print $5; exit}')}
interval=${2:-2}
stats=/sys/class/net/$interface/statistics

if [[ -z $interface || ! -d $stats ]]; then
  echo "Usage: $0 [INTERFACE] [SECONDS]" >&2
  echo "Interfaces: $(ls /sys/class/net)" >&2
  exit 2
fi

trap 'echo; exit 0' INT

human() {
  numfmt --to=iec --suffix=B/s "$1"
}

read -r rx_before <"$stats/rx_bytes"
read -r tx_before <"$stats/tx_bytes"

printf '%-8s  %12s  %12s  (%s)\n' TIME IN OUT "$interface"
while sleep "$interval"; do
  read -r rx <"$stats/rx_bytes"
  read -r tx <"$stats/tx_bytes"
  printf '%(%H:%M:%S)T  %12s  %12s\n' -1 \
    "$(human $(((rx - rx_before) / interval)))" \
    "$(human $(((tx - tx_before) / interval)))"
  rx_before=$rx
  tx_before=$tx
done
