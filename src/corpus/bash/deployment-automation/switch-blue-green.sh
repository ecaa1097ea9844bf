#!/bin/bash
# Switch nginx traffic between the blue and the green environment after a health check
set -euo pipefail

upstream=/etc/nginx/conf.d/app-upstream.conf
declare -A ports=([blue]=8001 [green]=8002)

if [[ $EUID -ne 0 ]]; then
  echo "Error: run this script as root" >&2
  exit 1
fi

active=blue
if [[ -f $upstream ]] && grep -q ":${ports[green]};" "$upstream"; then
  active=green
fi

target=green
[[ $active == green ]] && target=blue
echo "Active: $active, switching to: $target"

healthy() {
  local attempt
  for attempt in {1..10}; do
    if curl -fsS -o /dev/null --max-time 3 "http://127.0.0.1:$1/health"; then
      return 0
    fi
    echo "Attempt $attempt: not healthy yet" >&2
    sleep 3
  done
  return 1
}

write_upstream() {
  cat >"$upstream" <<EOF
upstream app {
  server 127.0.0.1:$1;
}
EOF
}

if ! healthy "${ports[$target]}"; then
  echo "Error: $target does not answer on port ${ports[$target]}, $active stays live" >&2
  exit 1
fi

write_upstream "${ports[$target]}"
if ! nginx -t; then
  write_upstream "${ports[$active]}"
  echo "Error: nginx rejects the configuration, $active stays live" >&2
  exit 1
fi

# A reload lets open requests finish on the old environment.
nginx -s reload
echo "$target is live"
