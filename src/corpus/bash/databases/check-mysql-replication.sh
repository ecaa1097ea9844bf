#!/bin/bash
# Check that MySQL replication is running and not far behind
set -euo pipefail

warning=30
critical=300

while getopts "w:c:h" option; do
  case $option in
    w) warning=$OPTARG ;;
    c) critical=$OPTARG ;;
    h) echo "Usage: $0 [-w SECONDS] [-c SECONDS]"; exit 0 ;;
    *) exit 3 ;;
  esac
done

# Exit codes of a monitoring plugin: 0 ok, 1 warning, 2 critical, 3 unknown.
finish() {
  echo "$2"
  exit "$1"
}

if ! output=$(mysql --execute 'SHOW REPLICA STATUS\G' 2>&1); then
  finish 3 "UNKNOWN: ${output##*$'\n'}"
fi
[[ -n $output ]] || finish 3 "UNKNOWN: this server is not a replica"

field() {
  awk -v name="$1:" '$1 == name { sub(/^ *[^ ]+ ?/, ""); print }' <<<"$output"
}

io=$(field Replica_IO_Running)
sql=$(field Replica_SQL_Running)
lag=$(field Seconds_Behind_Source)

if [[ $io != Yes ]]; then
  finish 2 "CRITICAL: IO thread is '$io': $(field Last_IO_Error)"
elif [[ $sql != Yes ]]; then
  finish 2 "CRITICAL: SQL thread is '$sql': $(field Last_SQL_Error)"
elif [[ ! $lag =~ ^[0-9]+$ ]]; then
  finish 3 "UNKNOWN: the lag is not known"
elif ((lag >= critical)); then
  finish 2 "CRITICAL: $lag seconds behind the source"
elif ((lag >= warning)); then
  finish 1 "WARNING: $lag seconds behind the source"
fi
finish 0 "OK: $lag seconds behind the source"
