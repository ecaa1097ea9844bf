#!/bin/bash
# Restore a MySQL database from a compressed SQL dump
set -euo pipefail

if [[ $# -ne 2 ]]; then
  echo "Usage: $0 DUMP.sql.gz DATABASE" >&2
  exit 2
fi
dump=$1
database=$2

if [[ ! $database =~ ^[A-Za-z0-9_]+$ ]]; then
  echo "Error: invalid database name '$database'" >&2
  exit 2
fi

case $dump in
  *.sql) reader=(cat) ;;
  *.sql.gz) reader=(gzip -dc) ;;
  *.sql.zst) reader=(zstd -dc) ;;
  *) echo "Error: unknown kind of dump: $dump" >&2; exit 2 ;;
esac

# mysqldump ends a complete dump with this line.
if ! "${reader[@]}" "$dump" | tail -n 1 | grep -q '^-- Dump completed'; then
  echo "Error: $dump is incomplete" >&2
  exit 1
fi

tables=$(
  mysql --batch --skip-column-names --execute "
    SELECT COUNT(*) FROM information_schema.tables
    WHERE table_schema = '$database'"
)
if ((tables > 0)); then
  read -r -p "$database has $tables tables. Type its name to replace it: " answer
  if [[ $answer != "$database" ]]; then
    echo "Nothing changed" >&2
    exit 1
  fi
fi

mysql --execute "
  DROP DATABASE IF EXISTS $database;
  CREATE DATABASE $database CHARACTER SET utf8mb4"
"${reader[@]}" "$dump" | mysql --init-command='SET FOREIGN_KEY_CHECKS = 0' "$database"
echo "Restored $dump into $database"
