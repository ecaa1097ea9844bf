#!/bin/bash
# Create a systemd service for a program and start it at boot
set -euo pipefail

user=nobody
description=""

usage() {
  echo "Usage: $0 [-u USER] [-d DESCRIPTION] NAME PROGRAM [ARGUMENT...]" >&2
  exit 2
}

while getopts "u:d:" option; do
  case $option in
    u) user=$OPTARG ;;
    d) description=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
(($# >= 2)) || usage

name=$1
program=$(realpath -e -- "$2")
shift 2
unit=/etc/systemd/system/$name.service

if ! id "$user" >/dev/null 2>&1; then
  echo "Error: no such user: $user" >&2
  exit 1
fi

cat >"$unit" <<EOF
[Unit]
Description=${description:-$name}
After=network-online.target
Wants=network-online.target

[Service]
User=$user
ExecStart=$program $*
Restart=on-failure
RestartSec=5
NoNewPrivileges=true
ProtectSystem=full
PrivateTmp=true

[Install]
WantedBy=multi-user.target
EOF

systemd-analyze verify "$unit"
systemctl daemon-reload
systemctl enable --now "$name.service"
systemctl --no-pager status "$name.service"
