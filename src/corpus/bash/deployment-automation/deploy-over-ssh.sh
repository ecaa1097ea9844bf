#!/bin/bash
# Deploy an application to a remote server over SSH with rsync and restart its service
set -euo pipefail

usage() {
  echo "Usage: $0 -h USER@HOST -s SERVICE [-d REMOTE_DIR] [-n] [LOCAL_DIR]" >&2
  exit 2
}

host=""
service=""
remote_dir=/opt/app
rsync_options=(-az --delete --exclude=.git --exclude=.env --exclude=node_modules)

while getopts "h:s:d:n" option; do
  case $option in
    h) host=$OPTARG ;;
    s) service=$OPTARG ;;
    d) remote_dir=$OPTARG ;;
    n) rsync_options+=(--dry-run --itemize-changes) ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
local_dir=${1:-.}

[[ -n $host && -n $service ]] || usage

echo "Copying $local_dir to $host:$remote_dir"
rsync "${rsync_options[@]}" "$local_dir/" "$host:$remote_dir/"

if [[ " ${rsync_options[*]} " == *" --dry-run "* ]]; then
  echo "Dry run, the service was not restarted"
  exit 0
fi

# The quoted delimiter keeps the variables for the remote shell.
ssh "$host" bash -s -- "$service" <<'EOF'
set -euo pipefail
service=$1
sudo systemctl restart "$service"
sleep 2
if ! systemctl is-active --quiet "$service"; then
  sudo journalctl -u "$service" -n 20 --no-pager >&2
  exit 1
fi
EOF

echo "$service runs on $host"
