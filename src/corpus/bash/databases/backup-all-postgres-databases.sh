#!/bin/bash
# Back up all PostgreSQL databases and the roles into one directory per day
set -euo pipefail

backup_root=${1:-/var/backups/postgres}
keep_days=14
workers=3
target=$backup_root/$(date +%F)

umask 077
mkdir -p "$target"

list=$(psql -d postgres -AtX -c '
  SELECT datname FROM pg_database
  WHERE datallowconn AND NOT datistemplate
  ORDER BY pg_database_size(datname) DESC')
mapfile -t databases <<<"$list"

echo "Saving the roles"
pg_dumpall --globals-only --file="$target/globals.sql"

status=0
for database in "${databases[@]}"; do
  file=$target/$database.dump
  if pg_dump --format=directory --jobs="$workers" --file="$file.partial" "$database"; then
    rm -rf "$file"
    mv "$file.partial" "$file"
    echo "Saved $database ($(du -sh "$file" | cut -f1))"
  else
    rm -rf "$file.partial"
    status=1
  fi
done

# Old days are deleted only when everything went well.
if ((status == 0)); then
  find "$backup_root" -mindepth 1 -maxdepth 1 -type d -name '20??-??-??' \
    -mtime "+$keep_days" -print -exec rm -rf {} +
fi
exit "$status"
