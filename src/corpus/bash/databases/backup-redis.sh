#!/bin/bash
# Back up a Redis database by saving a snapshot and copying it
set -euo pipefail

host=${REDIS_HOST:-127.0.0.1}
port=${REDIS_PORT:-6379}
backup_dir=${1:-/var/backups/redis}
timeout=300

redis() {
  redis-cli -h "$host" -p "$port" "$@"
}

if [[ $(redis PING) != PONG ]]; then
  echo "Error: no Redis server at $host:$port" >&2
  exit 1
fi

mkdir -p "$backup_dir"
last_save=$(redis LASTSAVE)
redis BGSAVE >/dev/null

echo "Waiting for the snapshot"
deadline=$((SECONDS + timeout))
while [[ $(redis LASTSAVE) == "$last_save" ]]; do
  if ((SECONDS > deadline)); then
    echo "Error: no snapshot after $timeout seconds" >&2
    exit 1
  fi
  sleep 1
done

status=$(redis INFO persistence | tr -d '\r' | awk -F: '$1 == "rdb_last_bgsave_status" { print $2 }')
if [[ $status != ok ]]; then
  echo "Error: the last snapshot failed" >&2
  exit 1
fi

dir=$(redis CONFIG GET dir | tail -n 1)
file=$(redis CONFIG GET dbfilename | tail -n 1)
backup=$backup_dir/redis-$(date +%Y%m%d-%H%M%S).rdb.gz
gzip -c "$dir/$file" >"$backup"
echo "Saved $(redis DBSIZE) keys in $backup"
