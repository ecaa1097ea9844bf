#!/bin/bash
# Make incremental snapshots of the home directories with rsync and hard links
set -euo pipefail

source=/home/
target=${1:?Usage: $0 SNAPSHOT_DIR}
keep_days=30
stamp=$(date +%Y-%m-%dT%H-%M-%S)
latest="$target/latest"

mkdir -p "$target"

exec 9>"$target/.lock"
if ! flock -n 9; then
  echo "Another snapshot is still running" >&2
  exit 1
fi

options=(
  --archive
  --delete
  --one-file-system
  --exclude='.cache/'
  --exclude='node_modules/'
)
# Unchanged files become hard links to the previous snapshot.
if [[ -d $latest ]]; then
  options+=("--link-dest=$(realpath "$latest")")
fi

rsync "${options[@]}" "$source" "$target/$stamp.partial/"
mv "$target/$stamp.partial" "$target/$stamp"
touch "$target/$stamp"
ln -sfn "$stamp" "$latest"
echo "Snapshot $target/$stamp done"

find "$target" -mindepth 1 -maxdepth 1 -type d -name '20*' \
  -mtime "+$keep_days" -print -exec rm -rf {} +
