#!/bin/bash
# Record CPU load, memory and disk usage to a CSV file at regular intervals
set -euo pipefail

file=metrics.csv
interval=60
samples=0

while getopts "f:i:n:" option; do
  case $option in
    f) file=$OPTARG ;;
    i) interval=$OPTARG ;;
    n) samples=$OPTARG ;;
    *)
      echo "Usage: $0 [-f FILE] [-i SECONDS] [-n SAMPLES]   (0 samples: no end)" >&2
      exit 2
      ;;
  esac
done

# The header goes only into a new file, so runs can be appended.
if [[ ! -s $file ]]; then
  echo "time,load_1m,memory_used_percent,swap_used_mib,root_used_percent,processes" >"$file"
fi

sample() {
  local load memory swap disk processes
  load=$(cut -d ' ' -f 1 /proc/loadavg)
  memory=$(free | awk '/^Mem:/ {printf "%.1f", 100 * ($2 - $7) / $2}')
  swap=$(free -m | awk '/^Swap:/ {print $3}')
  disk=$(df --output=pcent / | tail -n 1 | tr -dc '0-9')
  processes=$(ps -e --no-headers | wc -l)
  printf '%s,%s,%s,%s,%s,%s\n' \
    "$(date '+%FT%T%z')" "$load" "$memory" "$swap" "$disk" "$processes"
}

for ((i = 1; samples == 0 || i <= samples; i++)); do
  sample >>"$file"
  if ((i != samples)); then
    sleep "$interval"
  fi
done
