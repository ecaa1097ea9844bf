#!/bin/bash
# Monitor CPU usage and log an alert when it stays above 90 percent for several samples in a row
set -euo pipefail

threshold=${1:-90}
needed=${2:-3}
interval=${3:-5}
log=${CPU_ALERT_LOG:-/var/log/cpu-alert.log}

# Print the busy and the total time since boot in clock ticks.
cpu_times() {
  local user nice system idle iowait irq softirq steal
  read -r _ user nice system idle iowait irq softirq steal _ </proc/stat
  local busy=$((user + nice + system + irq + softirq + steal))
  echo "$busy $((busy + idle + iowait))"
}

alert() {
  {
    echo "$(date '+%F %T') CPU at $1% for $((needed * interval)) s, busiest processes:"
    ps -eo pid,pcpu,user,args --sort=-pcpu | awk 'NR <= 6 {print "  " substr($0, 1, 100)}'
  } | tee -a "$log"
}

high=0
read -r busy_before total_before < <(cpu_times)

while sleep "$interval"; do
  read -r busy total < <(cpu_times)
  usage=$(((busy - busy_before) * 100 / (total - total_before)))
  busy_before=$busy
  total_before=$total

  if ((usage >= threshold)); then
    high=$((high + 1))
  else
    high=0
  fi

  # One alert for each episode, not one for each sample.
  if ((high == needed)); then
    alert "$usage"
  fi
done
