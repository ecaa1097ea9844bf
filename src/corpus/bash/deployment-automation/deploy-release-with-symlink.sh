#!/bin/bash
# Deploy a tarball as a new timestamped release and switch the current symlink to it
set -euo pipefail

archive=${1:-}
app_dir=$(realpath -m "${2:-/var/www/app}")
keep=5

if [[ ! -f $archive ]]; then
  echo "Usage: $0 ARCHIVE.tar.gz [APP_DIR]" >&2
  exit 2
fi

release=$app_dir/releases/$(date +%Y%m%d%H%M%S)
shared=$app_dir/shared
mkdir -p "$release" "$shared/log" "$shared/uploads"

# A release that did not finish is removed again.
finished=false
cleanup() {
  if ! "$finished"; then
    echo "Deployment failed, removing $release" >&2
    rm -rf "$release"
  fi
}
trap cleanup EXIT

tar -xzf "$archive" -C "$release"

# Data that outlives a release is linked into it.
for name in log uploads; do
  rm -rf "${release:?}/$name"
  ln -s "$shared/$name" "$release/$name"
done
if [[ -f $shared/.env ]]; then
  ln -sf "$shared/.env" "$release/.env"
fi

# Renaming a link over the old one is atomic, ln -sf is not.
ln -s "$release" "$app_dir/current.new"
mv -T "$app_dir/current.new" "$app_dir/current"
finished=true
echo "Now live: $release"

# Names sort by time, so all but the last ones are old.
mapfile -t releases < <(find "$app_dir/releases" -mindepth 1 -maxdepth 1 -type d | sort)
for ((i = 0; i < ${#releases[@]} - keep; i++)); do
  echo "Removing ${releases[i]}"
  rm -rf "${releases[i]}"
done
