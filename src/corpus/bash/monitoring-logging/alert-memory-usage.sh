#!/bin/bash
# Warn when memory usage is above a threshold and list the processes that use the most memory
set -euo pipefail

threshold=${1:-90}
swap_threshold=${2:-50}

# Print the value of a field of /proc/meminfo in kB.
meminfo() {
  awk -v field="$1:" '$1 == field {print $2}' /proc/meminfo
}

total=$(meminfo MemTotal)
available=$(meminfo MemAvailable)
swap_total=$(meminfo SwapTotal)
swap_free=$(meminfo SwapFree)

# MemAvailable counts the cache that the kernel can give back.
used_percent=$(((total - available) * 100 / total))
swap_percent=0
if ((swap_total > 0)); then
  swap_percent=$(((swap_total - swap_free) * 100 / swap_total))
fi

printf 'Memory: %d%% of %d MiB in use\n' "$used_percent" $((total / 1024))
printf 'Swap:   %d%% of %d MiB in use\n' "$swap_percent" $((swap_total / 1024))

if ((used_percent < threshold && swap_percent < swap_threshold)); then
  exit 0
fi

{
  echo "WARNING: memory is above $threshold% or swap above $swap_threshold%"
  echo
  ps -eo pid,user,rss,comm --sort=-rss | awk '
    NR == 1 { printf "%8s %-12s %10s  %s\n", "PID", "USER", "MIB", "COMMAND" }
    NR > 1 && NR <= 11 { printf "%8d %-12s %10.1f  %s\n", $1, $2, $3 / 1024, $4 }'
} >&2
exit 1
