#!/bin/bash
# Block IP addresses that have failed to log in over SSH more than 10 times today
set -euo pipefail

limit=10
dry_run=false
whitelist=(127.0.0.1 ::1)

while getopts "n:w:d" option; do
  case $option in
    n) limit=$OPTARG ;;
    w) whitelist+=("$OPTARG") ;;
    d) dry_run=true ;;
    *)
      echo "Usage: $0 [-n LIMIT] [-w TRUSTED_ADDRESS]... [-d]" >&2
      exit 2
      ;;
  esac
done

is_trusted() {
  local entry
  for entry in "${whitelist[@]}"; do
    [[ $entry == "$1" ]] && return 0
  done
  return 1
}

block() {
  local tool=iptables
  [[ $1 == *:* ]] && tool=ip6tables
  # -C fails when the rule is not there yet.
  if "$tool" -C INPUT -s "$1" -j DROP 2>/dev/null; then
    return 0
  fi
  "$tool" -I INPUT -s "$1" -j DROP
}

while read -r count address; do
  if is_trusted "$address"; then
    continue
  elif "$dry_run"; then
    echo "would block $address ($count failures)"
  else
    block "$address"
    echo "blocked $address ($count failures)"
  fi
done < <(
  journalctl -t sshd --since today --no-pager -o cat |
    awk -v limit="$limit" '
      /^Failed password/ { for (i = 1; i < NF; i++) if ($i == "from") n[$(i + 1)]++ }
      END { for (a in n) if (n[a] > limit) print n[a], a }'
)
