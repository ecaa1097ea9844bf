#!/bin/bash
# Wait until a database accepts connections: PostgreSQL, MySQL or Redis
set -euo pipefail

kind=${1:-}
timeout=${2:-60}
host=${DB_HOST:-localhost}

case $kind in
  postgres)
    is_ready() { pg_isready --quiet --host="$host"; }
    ;;
  mysql)
    is_ready() { mysqladmin --host="$host" --connect-timeout=2 ping >/dev/null 2>&1; }
    ;;
  redis)
    is_ready() { [[ $(redis-cli -h "$host" PING 2>/dev/null) == PONG ]]; }
    ;;
  *)
    echo "Usage: $0 postgres|mysql|redis [TIMEOUT_SECONDS]" >&2
    exit 2
    ;;
esac

deadline=$((SECONDS + timeout))
delay=1

until is_ready; do
  if ((SECONDS >= deadline)); then
    echo "Error: $kind at $host is not ready after $timeout seconds" >&2
    exit 1
  fi
  echo "Waiting for $kind at $host" >&2
  sleep "$delay"
  # Ask less often the longer it takes, at most every eight seconds.
  delay=$((delay < 8 ? delay * 2 : 8))
done

echo "$kind at $host is ready" >&2
