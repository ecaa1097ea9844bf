#!/bin/bash
# Back up a PostgreSQL database and delete backups older than seven days
set -euo pipefail

database=${1:-}
backup_dir=${2:-/var/backups/postgres}
days=${DAYS:-7}

if [[ -z $database ]]; then
  echo "Usage: $0 DATABASE [BACKUP_DIR]" >&2
  echo "The connection comes from PGHOST, PGUSER and ~/.pgpass" >&2
  exit 2
fi

umask 077
mkdir -p "$backup_dir"

dump=$backup_dir/$database-$(date +%Y%m%d-%H%M%S).dump
trap 'rm -f "$dump.partial"' EXIT

pg_dump --format=custom --compress=6 --no-password \
  --file="$dump.partial" "$database"

# A dump that cannot be listed cannot be restored.
tables=$(pg_restore --list "$dump.partial" | grep -c ' TABLE DATA ' || true)
if ((tables == 0)); then
  echo "Error: the dump of $database contains no tables" >&2
  exit 1
fi

mv "$dump.partial" "$dump"
echo "Saved $dump: $tables tables, $(du -h "$dump" | cut -f1)"

# Delete old backups only after a new one is safe.
find "$backup_dir" -maxdepth 1 -type f -name "$database-*.dump" \
  -mtime "+$days" -print -delete
