#!/bin/bash
# Create a systemd timer that runs a command every day instead of a cron job
set -euo pipefail

name=${1:-}
calendar=${2:-}
shift 2 || true

if [[ -z $name || -z $calendar || $# -eq 0 ]]; then
  echo "Usage: $0 NAME CALENDAR COMMAND [ARGUMENT...]" >&2
  echo "Example: $0 backup '*-*-* 02:30:00' /usr/local/bin/backup.sh" >&2
  exit 2
fi

if ! systemd-analyze calendar "$calendar"; then
  echo "Error: '$calendar' is not a calendar expression" >&2
  exit 1
fi

# Units of a user need no root; they live in the home directory.
unit_dir=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
mkdir -p "$unit_dir"

cat >"$unit_dir/$name.service" <<EOF
[Unit]
Description=Run $name once

[Service]
Type=oneshot
ExecStart=$*
Nice=10
EOF

cat >"$unit_dir/$name.timer" <<EOF
[Unit]
Description=Schedule $name

[Timer]
OnCalendar=$calendar
RandomizedDelaySec=60
Persistent=true

[Install]
WantedBy=timers.target
EOF

systemctl --user daemon-reload
systemctl --user enable --now "$name.timer"

# Without lingering the timer stops at logout.
loginctl enable-linger "$USER" || echo "Note: the timer runs only while you are logged in" >&2
systemctl --user list-timers "$name.timer" --no-pager
