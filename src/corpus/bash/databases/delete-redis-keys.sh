#!/bin/bash
# Delete all Redis keys that match a pattern without blocking the server
set -euo pipefail

db=0
assume_yes=false

while getopts "n:y" option; do
  case $option in
    n) db=$OPTARG ;;
    y) assume_yes=true ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))

if [[ $# -ne 1 || $1 == '*' ]]; then
  echo "Usage: $0 [-n DB] [-y] PATTERN   e.g. $0 'session:*'" >&2
  exit 2
fi
pattern=$1

cli=(redis-cli -h "${REDIS_HOST:-127.0.0.1}" -p "${REDIS_PORT:-6379}" -n "$db")
[[ $("${cli[@]}" PING) == PONG ]] || exit 1

keys=$(mktemp)
trap 'rm -f "$keys"' EXIT

# SCAN goes in small steps, KEYS would stop the server meanwhile.
"${cli[@]}" --scan --pattern "$pattern" >"$keys"
count=$(wc -l <"$keys")

if ((count == 0)); then
  echo "No key matches $pattern"
  exit 0
fi

if [[ $assume_yes != true ]]; then
  head -n 5 "$keys"
  read -r -p "Delete $count keys? [y/N] " answer
  [[ $answer == [yY]* ]] || exit 1
fi

xargs -r -d '\n' -n 500 "${cli[@]}" UNLINK <"$keys" |
  awk '{ deleted += $NF } END { print "Deleted " deleted " keys" }'
