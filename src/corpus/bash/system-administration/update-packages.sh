#!/bin/bash
# Update all installed packages and reboot if a new kernel requires it
set -euo pipefail

log=/var/log/update-packages.log
reboot_delay=5

if [[ $(id -u) -ne 0 ]]; then
  echo "Error: updating packages needs root" >&2
  exit 1
fi

exec > >(tee -a "$log") 2>&1
echo "=== $(date '+%F %T') update started"

if command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  apt-get upgrade -y -q
  apt-get autoremove -y -q
  reboot_needed() { [[ -e /var/run/reboot-required ]]; }
elif command -v dnf >/dev/null; then
  dnf upgrade -y --refresh
  dnf autoremove -y
  reboot_needed() { ! dnf needs-restarting -r >/dev/null; }
else
  echo "Error: found neither apt-get nor dnf"
  exit 1
fi

if reboot_needed; then
  echo "A reboot is required, rebooting in $reboot_delay minutes"
  shutdown -r "+$reboot_delay" "Rebooting after package updates"
else
  echo "No reboot is required"
fi
