#!/bin/bash
# Show a report of the system: CPU, memory, disks, load and network addresses
set -euo pipefail

section() {
  printf '\n== %s ==\n' "$1"
}

os_name() {
  if [[ -r /etc/os-release ]]; then
    awk -F'"' '/^PRETTY_NAME=/ { print $2 }' /etc/os-release
  else
    uname -s
  fi
}

section "System"
printf '%-10s %s\n' \
  Host "$(hostname)" \
  OS "$(os_name)" \
  Kernel "$(uname -r)" \
  Uptime "$(uptime -p)"

section "Processor"
awk -F': ' '/^model name/ { name = $2 } END { print (name ? name : "unknown") }' /proc/cpuinfo
echo "Cores: $(nproc)"
read -r one five fifteen _ </proc/loadavg
echo "Load:  $one $five $fifteen"

section "Memory"
awk '/^MemTotal/ { total = $2 } /^MemAvailable/ { free = $2 }
  END { printf "%.1f GiB total, %.1f GiB available\n", total / 2^20, free / 2^20 }' /proc/meminfo

section "Disks"
df -h --local --exclude-type=tmpfs --exclude-type=devtmpfs

section "Network"
if command -v ip >/dev/null; then
  ip -brief address show scope global
else
  hostname -I
fi
