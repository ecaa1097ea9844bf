#!/bin/bash
# Kill PostgreSQL connections that have been idle for more than an hour
set -euo pipefail

minutes=60
database=""
dry_run=0

usage() {
  echo "Usage: $0 [-m MINUTES] [-d DATABASE] [-n]" >&2
  echo "  -n  only list the connections" >&2
  exit 2
}

while getopts "m:d:n" option; do
  case $option in
    m) minutes=$OPTARG ;;
    d) database=$OPTARG ;;
    n) dry_run=1 ;;
    *) usage ;;
  esac
done

if [[ ! $minutes =~ ^[0-9]+$ ]]; then
  usage
fi

if ((dry_run)); then
  action='NULL'
else
  action='pg_terminate_backend(pid)'
fi

result=$(
  psql -d postgres -AtX -F ' ' -v ON_ERROR_STOP=1 \
    -v minutes="$minutes" -v database="$database" -v action="$action" <<'SQL'
SELECT pid, datname, usename, coalesce(client_addr::text, 'local'),
  date_trunc('second', now() - state_change), :action
FROM pg_stat_activity
WHERE state IN ('idle', 'idle in transaction')
  AND state_change < now() - make_interval(mins => :minutes)
  AND (:'database' = '' OR datname = :'database')
  AND pid <> pg_backend_pid();
SQL
)

if [[ -z $result ]]; then
  echo "No connection has been idle for $minutes minutes"
  exit 0
fi

while read -r pid name user address idle _; do
  echo "PID $pid: $user@$name from $address, idle for $idle"
done <<<"$result"
