#!/bin/bash
# Mount a disk by its UUID and add it to /etc/fstab
set -euo pipefail

fail() {
  printf 'Error: %s\n' "$1" >&2
  exit 1
}

if [[ $# -ne 2 ]]; then
  echo "Usage: $0 DEVICE MOUNT_POINT   e.g. $0 /dev/sdb1 /data" >&2
  exit 2
fi
device=$1
mount_point=$2

[[ $EUID -eq 0 ]] || fail "run as root"
[[ -b $device ]] || fail "$device is not a block device"
[[ $mount_point == /* ]] || fail "the mount point must be an absolute path"

uuid=$(blkid -s UUID -o value "$device") || fail "$device has no filesystem"
type=$(blkid -s TYPE -o value "$device")

if findmnt --source "$device" >/dev/null; then
  fail "$device is already mounted at $(findmnt -no TARGET --source "$device")"
fi

mkdir -p "$mount_point"

if grep -q "UUID=$uuid" /etc/fstab; then
  echo "UUID $uuid is already in /etc/fstab"
else
  cp -p /etc/fstab /etc/fstab.bak
  echo "UUID=$uuid $mount_point $type defaults,nofail 0 2" >>/etc/fstab
  if ! findmnt --verify --tab-file /etc/fstab >/dev/null; then
    mv /etc/fstab.bak /etc/fstab
    fail "the new line in /etc/fstab is not valid, restored the old file"
  fi
fi

mount "$mount_point"
df -h "$mount_point"
