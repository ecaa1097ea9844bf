#!/bin/bash
# Restart a service and wait until it is running again
set -euo pipefail

service=${1:-}
timeout=${2:-30}

if [[ -z $service ]]; then
  echo "Usage: $0 SERVICE [TIMEOUT_SECONDS]" >&2
  exit 2
fi

if ! systemctl cat "$service" >/dev/null 2>&1; then
  echo "Error: there is no service named $service" >&2
  exit 1
fi

echo "Restarting $service"
systemctl restart "$service"

for ((second = 0; second < timeout; second++)); do
  state=$(systemctl is-active "$service" || true)
  case $state in
    active)
      echo "$service is running after $second seconds"
      exit 0
      ;;
    failed)
      break
      ;;
  esac
  sleep 1
done

echo "Error: $service is $state" >&2
journalctl --unit "$service" --lines 20 --no-pager >&2
exit 1
