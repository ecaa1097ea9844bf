#!/bin/bash
# Vacuum and analyze the PostgreSQL tables that have many dead rows
set -euo pipefail

database=${1:-}
percent=${2:-10}

if [[ -z $database || ! $percent =~ ^[0-9]+$ ]]; then
  echo "Usage: $0 DATABASE [DEAD_PERCENT]" >&2
  exit 2
fi

run_sql() {
  psql -d "$database" -AtqX -v ON_ERROR_STOP=1 -c "$1"
}

# Only one vacuum run at a time for each database.
exec 9>"${TMPDIR:-/tmp}/vacuum-$database.lock"
flock -n 9 || { echo "A vacuum of $database is already running" >&2; exit 1; }

list=$(run_sql "
  SELECT format('%I.%I', schemaname, relname)
  FROM pg_stat_user_tables
  WHERE n_dead_tup > 1000
    AND n_dead_tup * 100 > $percent * (n_live_tup + n_dead_tup)
  ORDER BY n_dead_tup DESC")

if [[ -z $list ]]; then
  echo "No table of $database has more than $percent% dead rows"
  exit 0
fi

mapfile -t tables <<<"$list"
for table in "${tables[@]}"; do
  before=$(run_sql "SELECT pg_total_relation_size('$table')")
  start=$SECONDS
  run_sql "VACUUM (ANALYZE) $table"
  after=$(run_sql "SELECT pg_total_relation_size('$table')")
  printf '%s: %s -> %s in %d s\n' "$table" \
    "$(numfmt --to=iec "$before")" "$(numfmt --to=iec "$after")" $((SECONDS - start))
done
