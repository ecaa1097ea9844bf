#!/bin/bash
# Create and start a systemd service for a program that restarts on failure
set -euo pipefail

usage() {
  cat >&2 <<EOF
Usage: $(basename "$0") -n NAME [-u USER] [-d DIRECTORY] COMMAND [ARGUMENT...]
Example: $(basename "$0") -n api -u www-data -d /opt/api /usr/bin/node server.js
EOF
  exit 2
}

name=""
user=nobody
directory=/
while getopts "n:u:d:" option; do
  case $option in
    n) name=$OPTARG ;;
    u) user=$OPTARG ;;
    d) directory=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))

[[ -n $name && $# -gt 0 ]] || usage

# systemd wants the full path of the program.
program=$(command -v "$1") || {
  echo "Error: $1 not found" >&2
  exit 1
}
shift

if ! id "$user" &>/dev/null; then
  echo "Error: no user $user" >&2
  exit 1
fi

sudo tee "/etc/systemd/system/$name.service" >/dev/null <<EOF
[Unit]
Description=$name
After=network-online.target
Wants=network-online.target

[Service]
User=$user
WorkingDirectory=$directory
ExecStart=$(realpath -s "$program") $*
Restart=on-failure
RestartSec=5
NoNewPrivileges=true
PrivateTmp=true

[Install]
WantedBy=multi-user.target
EOF

sudo systemctl daemon-reload
sudo systemctl enable --now "$name"
systemctl --no-pager status "$name"
