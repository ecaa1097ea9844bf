#!/bin/bash
# Lock user accounts that have not logged in for 90 days
set -euo pipefail

days=90
apply=false

while getopts "d:y" option; do
  case $option in
    d) days=$OPTARG ;;
    y) apply=true ;;
    *)
      echo "Usage: $0 [-d DAYS] [-y]" >&2
      echo "  -y  lock the accounts instead of only listing them" >&2
      exit 2
      ;;
  esac
done

# True when the user is in the list of logins older than $days.
is_inactive() {
  lastlog --before "$days" --user "$1" 2>/dev/null |
    awk -v user="$1" '$1 == user { found = 1 } END { exit !found }'
}

is_locked() {
  [[ $(passwd --status "$1" | awk '{ print $2 }') == L* ]]
}

min_uid=$(awk '$1 == "UID_MIN" { print $2 }' /etc/login.defs)

while IFS=: read -r user _ uid _ _ _ shell; do
  ((uid >= ${min_uid:-1000} && uid < 65534)) || continue
  [[ $shell == */nologin || $shell == */false ]] && continue
  if is_inactive "$user" && ! is_locked "$user"; then
    if [[ $apply == true ]]; then
      usermod --lock --expiredate 1 "$user"
      echo "Locked $user"
    else
      echo "$user is inactive"
    fi
  fi
done < <(getent passwd)
