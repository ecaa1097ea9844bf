#!/bin/bash
# Restore a PostgreSQL database from a dump file
set -euo pipefail

force=false
workers=4

usage() {
  cat >&2 <<EOF
Usage: $0 [-f] [-j WORKERS] DUMP_FILE DATABASE
  -f  replace the database if it exists
  -j  number of parallel workers (default $workers)
EOF
  exit 2
}

while getopts "fj:" option; do
  case $option in
    f) force=true ;;
    j) workers=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
[[ $# -eq 2 ]] || usage
dump=$1
database=$2

pg_restore --list "$dump" >/dev/null || {
  echo "Error: $dump is not a dump in the custom format" >&2
  exit 1
}

exists=$(psql -d postgres -AtX -v name="$database" <<'SQL'
SELECT count(*) FROM pg_database WHERE datname = :'name';
SQL
)

if ((exists)); then
  if [[ $force != true ]]; then
    echo "Error: database $database exists, use -f to replace it" >&2
    exit 1
  fi
  dropdb --force "$database"
fi

createdb --template=template0 "$database"
pg_restore --dbname="$database" --jobs="$workers" \
  --no-owner --no-privileges --exit-on-error "$dump"
psql -d "$database" -qX -c 'ANALYZE'
echo "Restored $dump into $database"
