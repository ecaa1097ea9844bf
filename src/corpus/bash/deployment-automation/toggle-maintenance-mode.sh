#!/bin/bash
# Turn the maintenance page of a website on or off and show the current state
set -euo pipefail

web_root=${WEB_ROOT:-/var/www/app}
flag=$web_root/maintenance.on
page=$web_root/maintenance.html

# nginx needs this in the server block:
#   if (-f $document_root/maintenance.on) { return 503; }
#   error_page 503 /maintenance.html;

enable() {
  local minutes=${1:-30}
  local until
  until=$(date -d "+$minutes minutes" '+%H:%M %Z')
  cat >"$page" <<EOF
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Maintenance</title></head>
<body>
<h1>We will be back soon</h1>
<p>The site is being updated. We expect to be back at $until.</p>
</body>
</html>
EOF
  echo "$(id -un) $(date '+%F %T')" >"$flag"
  echo "Maintenance mode is on until about $until"
}

disable() {
  rm -f "$flag"
  echo "Maintenance mode is off"
}

status() {
  if [[ -f $flag ]]; then
    echo "on, set by $(<"$flag")"
  else
    echo "off"
  fi
}

case ${1:-} in
  on) enable "${2:-30}" ;;
  off) disable ;;
  status) status ;;
  *)
    echo "Usage: $0 on [MINUTES] | off | status" >&2
    exit 2
    ;;
esac
