#!/bin/bash
# Delete a user account and archive the home directory first
set -euo pipefail

username=${1:-}
archive_dir=${2:-/var/backups/users}

if [[ -z $username ]]; then
  echo "Usage: $0 USERNAME [ARCHIVE_DIR]" >&2
  exit 2
fi
if ((EUID != 0)); then
  echo "Error: run this script as root" >&2
  exit 1
fi

if ! entry=$(getent passwd "$username"); then
  echo "Error: there is no user $username" >&2
  exit 1
fi
IFS=: read -r _ _ uid _ _ home _ <<<"$entry"
if ((uid < 1000)); then
  echo "Error: $username is a system account" >&2
  exit 1
fi

read -r -p "Delete $username (UID $uid, home $home)? [y/N] " answer
[[ $answer == [yY] ]] || exit 1

# No new login, then stop what still runs.
usermod --lock --expiredate 1 "$username"
if pgrep -u "$uid" >/dev/null; then
  pkill -TERM -u "$uid" || true
  sleep 3
  pkill -KILL -u "$uid" || true
fi

if [[ -d $home ]]; then
  install -d -m 700 "$archive_dir"
  archive=$archive_dir/$username-$(date +%Y%m%d).tar.gz
  tar -czf "$archive" -C "$(dirname "$home")" "$(basename "$home")"
  chmod 600 "$archive"
  echo "Archived $home in $archive"
fi

crontab -r -u "$username" 2>/dev/null || true
userdel --remove "$username"
echo "Deleted $username"
