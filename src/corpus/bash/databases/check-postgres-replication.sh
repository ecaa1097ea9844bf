#!/bin/bash
# Check the replication lag of all PostgreSQL replicas
set -euo pipefail

max_lag=${1:-60}
expected=${2:-1}

if [[ ! $max_lag =~ ^[0-9]+$ || ! $expected =~ ^[0-9]+$ ]]; then
  echo "Usage: $0 [MAX_LAG_SECONDS] [NUMBER_OF_REPLICAS]" >&2
  exit 2
fi

query() {
  psql -d postgres -AtX -F ' ' -v ON_ERROR_STOP=1 -c "$1"
}

if [[ $(query 'SELECT pg_is_in_recovery()') == t ]]; then
  echo "Error: this server is a replica, ask the primary" >&2
  exit 2
fi

status=0
replicas=0
while read -r name state lag bytes; do
  replicas=$((replicas + 1))
  if [[ $state != streaming ]] || ((lag > max_lag)); then
    echo "CRITICAL: $name is $state, $lag s and $bytes bytes behind" >&2
    status=1
  else
    echo "OK: $name is $lag s and $bytes bytes behind"
  fi
done < <(query "
  SELECT replace(application_name, ' ', '_'), state,
    coalesce(extract(epoch FROM replay_lag), 0)::int,
    pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint
  FROM pg_stat_replication
  ORDER BY 1")

if ((replicas < expected)); then
  echo "CRITICAL: $replicas replicas connected, expected $expected" >&2
  status=1
fi
exit "$status"
