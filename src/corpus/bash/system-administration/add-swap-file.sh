#!/bin/bash
# Add a swap file and enable it at boot
set -euo pipefail

size=${1:-2G}
swap_file=${2:-/swapfile}

die() {
  echo "Error: $*" >&2
  exit 1
}

((EUID == 0)) || die "run as root"
[[ $size =~ ^[0-9]+[MG]$ ]] || die "size must look like 512M or 2G, not '$size'"
[[ ! -e $swap_file ]] || die "$swap_file already exists"

needed=$(numfmt --from=iec "$size")
free=$(df --output=avail -B1 "$(dirname "$swap_file")" | tail -n 1)
((free > needed)) || die "only $(numfmt --to=iec "$free") free, $size needed"

undo() {
  swapoff "$swap_file" 2>/dev/null || true
  rm -f "$swap_file"
}
trap undo ERR

dd if=/dev/zero of="$swap_file" bs=1M count=$((needed / 1024 / 1024)) status=progress
chmod 600 "$swap_file"
mkswap "$swap_file"
swapon "$swap_file"

if ! grep -q "^${swap_file}[[:space:]]" /etc/fstab; then
  printf '%s none swap sw 0 0\n' "$swap_file" >>/etc/fstab
fi

swapon --show
