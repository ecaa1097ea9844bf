#!/bin/bash
# Compare the row counts of all tables in two PostgreSQL databases
set -euo pipefail

if [[ $# -ne 2 ]]; then
  echo "Usage: $0 SOURCE_URL TARGET_URL" >&2
  exit 2
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Writes lines "table<TAB>rows" sorted by table.
count_rows() {
  psql "$1" -AtqX -F $'\t' -v ON_ERROR_STOP=1 <<'SQL' | LC_ALL=C sort
SELECT format('SELECT %L, count(*) FROM %I.%I',
  schemaname || '.' || tablename, schemaname, tablename)
FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
\gexec
SQL
}

count_rows "$1" >"$work/source" &
source_job=$!
count_rows "$2" >"$work/target"
wait "$source_job"

LC_ALL=C join -t $'\t' -a 1 -a 2 -e missing -o 0,1.2,2.2 \
  "$work/source" "$work/target" |
  awk -F'\t' '
    $2 != $3 {
      printf "%-40s %12s %12s\n", $1, $2, $3
      different++
    }
    END {
      printf "%d tables compared, %d differ\n", NR, different
      exit different > 0
    }
  '
