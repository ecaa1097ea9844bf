#!/bin/bash
# Back up the application directory before a deployment and restore it when the deploy command fails
set -euo pipefail

if [[ $# -lt 2 ]]; then
  echo "Usage: $0 APP_DIR DEPLOY_COMMAND [ARGUMENT...]" >&2
  exit 2
fi

app_dir=$(realpath "$1")
shift
backup_dir=${BACKUP_DIR:-/var/backups/deploy}
backup=$backup_dir/$(basename "$app_dir")-$(date +%Y%m%d-%H%M%S).tar.gz

mkdir -p "$backup_dir"

# Leave room for the backup and a copy of the new version.
needed=$(du -sk "$app_dir" | cut -f1)
free=$(df -k --output=avail "$backup_dir" | tail -n 1)
if ((free < needed * 2)); then
  echo "Error: $backup_dir has $((free / 1024)) MiB free, $((needed * 2 / 1024)) MiB are needed" >&2
  exit 1
fi

tar -czf "$backup" -C "$(dirname "$app_dir")" "$(basename "$app_dir")"
gzip -t "$backup"
echo "Backup: $backup ($(du -h "$backup" | cut -f1))"

if "$@"; then
  echo "Deployment succeeded"
  # Backups older than two weeks are no longer needed.
  find "$backup_dir" -name "$(basename "$app_dir")-*.tar.gz" -mtime +14 -delete
  exit 0
fi

echo "Deployment failed, restoring $app_dir" >&2
broken=$app_dir.broken-$(date +%s)
mv "$app_dir" "$broken"
tar -xzf "$backup" -C "$(dirname "$app_dir")"
echo "Restored, the failed version is in $broken" >&2
exit 1
