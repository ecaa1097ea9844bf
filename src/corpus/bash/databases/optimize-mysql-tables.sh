#!/bin/bash
# Check and optimize the MySQL tables that waste disk space
set -euo pipefail

minimum_mb=${1:-100}

if [[ ! $minimum_mb =~ ^[0-9]+$ ]]; then
  echo "Usage: $0 [MINIMUM_FREE_MEGABYTES]" >&2
  exit 2
fi

sql() {
  mysql --batch --skip-column-names --execute "$1"
}

fragmented=$(sql "
  SELECT table_schema, table_name, ROUND(data_free / 1048576)
  FROM information_schema.tables
  WHERE engine = 'InnoDB'
    AND table_schema NOT IN ('mysql', 'sys')
    AND data_free > $minimum_mb * 1048576
  ORDER BY data_free DESC")

if [[ -z $fragmented ]]; then
  echo "No table wastes more than $minimum_mb MB"
  exit 0
fi

failures=0
while IFS=$'\t' read -r schema table megabytes <&3; do
  echo "$schema.$table: $megabytes MB free"

  check=$(sql "CHECK TABLE \`$schema\`.\`$table\`" | tail -n 1 | cut -f4)
  if [[ $check != OK ]]; then
    echo "Error: $schema.$table: $check" >&2
    failures=$((failures + 1))
    continue
  fi

  result=$(sql "OPTIMIZE TABLE \`$schema\`.\`$table\`" | tail -n 1 | cut -f4)
  echo "  optimize: $result"
done 3<<<"$fragmented"

exit $((failures > 0))
