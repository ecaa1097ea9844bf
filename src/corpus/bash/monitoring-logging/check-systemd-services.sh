#!/bin/bash
# Check that a list of systemd services is active and restart the ones that are not
set -euo pipefail

services=("$@")
if [[ ${#services[@]} -eq 0 ]]; then
  services=(ssh cron nginx)
fi

failed=0

for service in "${services[@]}"; do
  if ! systemctl cat "$service" &>/dev/null; then
    echo "$service: not installed, skipped"
    continue
  fi

  state=$(systemctl is-active "$service") || true
  if [[ $state == active ]]; then
    echo "$service: active"
    continue
  fi

  echo "$service: $state, restarting" >&2
  systemctl reset-failed "$service" 2>/dev/null || true

  # A service may start and die at once, so look again after a moment.
  if systemctl restart "$service" && sleep 3 && systemctl is-active --quiet "$service"; then
    echo "$service: active again"
    logger -t service-check "restarted $service"
  else
    echo "$service: restart failed, last log lines:" >&2
    journalctl -u "$service" -n 10 --no-pager >&2
    failed=$((failed + 1))
  fi
done

exit "$((failed > 0))"
