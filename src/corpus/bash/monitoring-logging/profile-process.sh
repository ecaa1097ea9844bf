#!/bin/bash
# Record the CPU, memory, threads and open files of a process over time until it ends
set -euo pipefail

if [[ $# -lt 1 ]]; then
  echo "Usage: $0 PID|NAME [INTERVAL_SECONDS]" >&2
  exit 2
fi

interval=${2:-1}

if [[ $1 =~ ^[0-9]+$ ]]; then
  pid=$1
else
  # -o picks the oldest process of that name, usually the parent.
  pid=$(pgrep -o -x "$1") || {
    echo "Error: no process named $1" >&2
    exit 1
  }
fi

if [[ ! -d /proc/$pid ]]; then
  echo "Error: no process with pid $pid" >&2
  exit 1
fi

peak=0
samples=0

summary() {
  echo "# $samples samples, peak memory $((peak / 1024)) MiB"
}
trap summary EXIT
trap 'exit 0' INT TERM

echo "time cpu_percent rss_kib threads open_files"
while stats=$(ps -o pcpu=,rss=,nlwp= -p "$pid"); do
  read -r cpu rss threads <<<"$stats"
  descriptors=(/proc/"$pid"/fd/*)
  printf '%(%T)T %s %s %s %s\n' -1 "$cpu" "$rss" "$threads" "${#descriptors[@]}"
  if ((rss > peak)); then
    peak=$rss
  fi
  samples=$((samples + 1))
  sleep "$interval"
done
