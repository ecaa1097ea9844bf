#!/bin/bash
# Import a CSV file into a table of a SQLite database
set -euo pipefail

usage() {
  echo "Usage: $0 FILE.csv DATABASE.sqlite [TABLE]" >&2
  exit 2
}

(($# == 2 || $# == 3)) || usage
csv=$1
database=$2
table=${3:-$(basename "$csv" .csv)}

if [[ ! -s $csv ]]; then
  echo "Error: $csv is missing or empty" >&2
  exit 1
fi
if [[ ! $table =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]]; then
  echo "Error: '$table' is not a valid table name" >&2
  exit 2
fi

scalar() {
  sqlite3 "$database" "$1"
}

exists=$(scalar "SELECT count(*) FROM sqlite_master WHERE name = '$table'")
before=0
options=(--csv)
if ((exists)); then
  before=$(scalar "SELECT count(*) FROM $table")
  # The table has its columns already, so the header is not data.
  options+=(--skip 1)
fi

sqlite3 -bail "$database" ".import ${options[*]} '$csv' $table"

after=$(scalar "SELECT count(*) FROM $table")
echo "Imported $((after - before)) rows into $table, $after in total"
