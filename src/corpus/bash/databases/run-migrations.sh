#!/bin/bash
# Run the new SQL migrations of a directory on a PostgreSQL database
set -euo pipefail

dir=${1:-migrations}
: "${DATABASE_URL:?Set DATABASE_URL, e.g. postgres://user@localhost/app}"

if [[ ! -d $dir ]]; then
  echo "Usage: $0 [MIGRATIONS_DIR]" >&2
  exit 2
fi

run_psql() {
  psql "$DATABASE_URL" -qAtX -v ON_ERROR_STOP=1 "$@"
}

PGOPTIONS='-c client_min_messages=warning' run_psql -c '
  CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
  )'

declare -A applied=()
while IFS='|' read -r name checksum; do
  applied[$name]=$checksum
done < <(run_psql -c 'SELECT name, checksum FROM schema_migrations')

count=0
for file in "$dir"/*.sql; do
  [[ -e $file ]] || break
  name=$(basename "$file" .sql)
  checksum=$(sha256sum <"$file" | cut -d' ' -f1)

  if [[ -n ${applied[$name]:-} ]]; then
    if [[ ${applied[$name]} != "$checksum" ]]; then
      echo "Error: $name was changed after it was applied" >&2
      exit 1
    fi
    continue
  fi

  echo "Applying $name"
  # One transaction: the migration and its record, or neither.
  run_psql --single-transaction -v name="$name" -v checksum="$checksum" \
    -f "$file" \
    -f - <<<"INSERT INTO schema_migrations VALUES (:'name', :'checksum')"
  count=$((count + 1))
done

echo "$count migrations applied"
