#!/bin/bash
# Export the result of a SQL query to a CSV file
set -euo pipefail

if [[ $# -lt 2 || $# -gt 3 ]]; then
  cat >&2 <<EOF
Usage: $0 DATABASE OUTPUT.csv [QUERY_FILE]
The query is read from QUERY_FILE, or from standard input.
EOF
  exit 2
fi

database=$1
output=$2
query=$(cat "${3:--}")

if [[ ! ${query,,} =~ ^[[:space:]]*(select|with)[[:space:]] ]]; then
  echo "Error: only SELECT queries can be exported" >&2
  exit 2
fi
if [[ -e $output ]]; then
  echo "Error: $output exists already" >&2
  exit 1
fi

partial=$(mktemp "$output.XXXXXX")
trap 'rm -f "$partial"' EXIT

# A read-only session cannot change data, whatever the query does.
PGOPTIONS='-c default_transaction_read_only=on -c statement_timeout=10min' \
  psql --dbname="$database" --no-psqlrc --csv \
  --set=ON_ERROR_STOP=1 --output="$partial" <<<"$query;"

chmod 644 "$partial"
mv "$partial" "$output"
trap - EXIT

rows=$(($(wc -l <"$output") - 1))
echo "Wrote $output: about $rows rows, $(du -h "$output" | cut -f1)"
