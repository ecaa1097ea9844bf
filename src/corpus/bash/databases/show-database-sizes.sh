#!/bin/bash
# Show the size of every PostgreSQL database and warn about large ones
set -euo pipefail

limit=${1:-50G}

if ! limit_bytes=$(numfmt --from=iec "$limit" 2>/dev/null); then
  echo "Usage: $0 [LIMIT]   e.g. $0 500M" >&2
  exit 2
fi

sizes=$(
  psql --dbname=postgres --no-psqlrc --tuples-only --no-align --field-separator=' ' \
    --command='
      SELECT pg_database_size(oid), datname
      FROM pg_database
      WHERE datallowconn
      ORDER BY 1 DESC'
)

total=0
large=()
printf '%-30s %10s\n' DATABASE SIZE
while read -r bytes name; do
  printf '%-30s %10s\n' "$name" "$(numfmt --to=iec "$bytes")"
  total=$((total + bytes))
  if ((bytes > limit_bytes)); then
    large+=("$name")
  fi
done <<<"$sizes"
printf '%-30s %10s\n' total "$(numfmt --to=iec "$total")"

if ((${#large[@]} > 0)); then
  echo "WARNING: larger than $limit: ${large[*]}" >&2
  exit 1
fi
