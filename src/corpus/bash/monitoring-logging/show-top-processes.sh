#!/bin/bash
# Show the 10 processes that use the most CPU and the 10 that use the most memory
set -euo pipefail

count=${1:-10}

if ! [[ $count =~ ^[1-9][0-9]*$ ]]; then
  echo "Usage: $0 [COUNT]" >&2
  exit 2
fi

# Print the header and the first lines of ps, sorted by a column.
top_by() {
  ps -eo pid,user,pcpu,pmem,etime,comm --sort="-$1" | awk -v n="$count" 'NR <= n + 1'
}

echo "Top $count by CPU"
top_by pcpu
echo
echo "Top $count by memory"
top_by pmem
echo

echo "Sum by user"
ps -eo user,pcpu,rss --no-headers |
  awk '
    { cpu[$1] += $2; rss[$1] += $3; n[$1]++ }
    END {
      for (u in n) printf "%-16s %4d processes %7.1f%% CPU %9.1f MiB\n", u, n[u], cpu[u], rss[u] / 1024
    }' |
  sort -k4,4rn
