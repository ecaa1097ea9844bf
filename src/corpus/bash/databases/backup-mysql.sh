#!/bin/bash
# Back up all MySQL databases with mysqldump, one compressed file for each
set -euo pipefail

backup_root=${1:-/var/backups/mysql}
credentials=${MYSQL_CNF:-$HOME/.my.cnf}

if [[ ! -r $credentials ]]; then
  echo "Error: put user and password into $credentials" >&2
  exit 2
fi

mysql_options=("--defaults-extra-file=$credentials")
target=$backup_root/$(date +%F)
umask 077
mkdir -p "$target"

mapfile -t databases < <(
  mysql "${mysql_options[@]}" --batch --skip-column-names \
    --execute 'SHOW DATABASES' |
    grep -vxE 'information_schema|performance_schema|mysql|sys'
)
if ((${#databases[@]} == 0)); then
  echo "Error: no databases found" >&2
  exit 1
fi

failed=0
for database in "${databases[@]}"; do
  file=$target/$database.sql.gz
  echo "Dumping $database"
  if mysqldump "${mysql_options[@]}" --single-transaction --quick \
    --routines --triggers --events --databases "$database" |
    gzip >"$file.partial"; then
    mv "$file.partial" "$file"
  else
    echo "Error: the dump of $database failed" >&2
    rm -f "$file.partial"
    failed=$((failed + 1))
  fi
done

echo "$((${#databases[@]} - failed)) of ${#databases[@]} databases saved in $target"
((failed == 0))
