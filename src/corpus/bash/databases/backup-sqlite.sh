#!/bin/bash
# Back up a SQLite database while it is in use and keep the last ten copies
set -euo pipefail

database=${1:?Usage: $0 DATABASE_FILE BACKUP_DIR}
backup_dir=${2:?Usage: $0 DATABASE_FILE BACKUP_DIR}
keep=10

if [[ ! -f $database ]]; then
  echo "Error: no such file: $database" >&2
  exit 1
fi

mkdir -p "$backup_dir"
name=$(basename "${database%.*}")
copy=$(mktemp "$backup_dir/.$name.XXXXXX")
trap 'rm -f "$copy"' EXIT

# .backup takes the locks that a plain cp would ignore.
sqlite3 "$database" ".timeout 10000" ".backup '$copy'"

check=$(sqlite3 "$copy" 'PRAGMA integrity_check')
if [[ $check != ok ]]; then
  echo "Error: the copy is damaged: $check" >&2
  exit 1
fi

backup=$backup_dir/$name-$(date +%Y%m%d-%H%M%S).sqlite.gz
gzip -c "$copy" >"$backup"
echo "Saved $backup"

find "$backup_dir" -maxdepth 1 -name "$name-*.sqlite.gz" | sort -r |
  tail -n +$((keep + 1)) |
  while IFS= read -r old; do
    rm -f -- "$old"
    echo "Removed $old"
  done
