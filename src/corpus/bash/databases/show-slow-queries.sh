#!/bin/bash
# Show the slowest PostgreSQL queries from pg_stat_statements
set -euo pipefail

database=${1:-postgres}
order=${2:-total}
limit=10

case $order in
  total) column=total_exec_time ;;
  mean) column=mean_exec_time ;;
  calls) column=calls ;;
  *)
    echo "Usage: $0 [DATABASE] [total|mean|calls]" >&2
    exit 2
    ;;
esac

installed=$(
  psql -d "$database" -AtX \
    -c "SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'"
)
if ((installed == 0)); then
  cat >&2 <<EOF
Error: pg_stat_statements is not installed in $database.
Add it to shared_preload_libraries, restart PostgreSQL, then run:
  CREATE EXTENSION pg_stat_statements;
EOF
  exit 1
fi

psql -d "$database" -X -v ON_ERROR_STOP=1 <<SQL
SELECT
  calls,
  round(total_exec_time::numeric / 1000, 1) AS total_s,
  round(mean_exec_time::numeric, 1) AS mean_ms,
  round(100 * total_exec_time::numeric / sum(total_exec_time::numeric) OVER (), 1) AS percent,
  left(regexp_replace(query, '\s+', ' ', 'g'), 80) AS query
FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY $column DESC
LIMIT $limit;
SQL
