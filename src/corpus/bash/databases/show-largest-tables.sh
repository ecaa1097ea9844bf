#!/bin/bash
# Show the largest tables of a PostgreSQL database with their index sizes
set -euo pipefail

database=${1:?Usage: $0 DATABASE [COUNT]}
count=${2:-10}

if [[ ! $count =~ ^[0-9]+$ ]]; then
  echo "Error: COUNT must be a number, got '$count'" >&2
  exit 2
fi

psql --dbname="$database" --no-psqlrc --set=ON_ERROR_STOP=1 --set=count="$count" <<'SQL'
\pset footer off
SELECT
  schemaname || '.' || relname AS "table",
  n_live_tup AS "rows",
  pg_size_pretty(pg_table_size(relid)) AS "data",
  pg_size_pretty(pg_indexes_size(relid)) AS "indexes",
  pg_size_pretty(pg_total_relation_size(relid)) AS "total"
FROM pg_stat_user_tables
ORDER BY pg_total_relation_size(relid) DESC
LIMIT :count;
SQL

total=$(
  psql --dbname="$database" --no-psqlrc --tuples-only --no-align \
    --command='SELECT pg_size_pretty(pg_database_size(current_database()))'
)
echo "Size of $database: $total"
