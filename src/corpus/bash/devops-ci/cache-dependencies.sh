#!/bin/bash
# Cache the npm dependencies in CI under the hash of the lock file
set -euo pipefail

cache_dir=${CACHE_DIR:-$HOME/.cache/ci}
keep=5
lock_file=package-lock.json

if [[ ! -f $lock_file ]]; then
  echo "Error: $lock_file not found in $PWD" >&2
  exit 1
fi

mkdir -p "$cache_dir"
key=$(
  {
    node --version
    uname -sm
    cat "$lock_file"
  } | sha256sum | cut -c1-16
)
archive=$cache_dir/node-modules-$key.tar.gz

if [[ -f $archive ]]; then
  echo "Cache hit: $key"
  rm -rf node_modules
  tar -xzf "$archive"
  touch "$archive"
  exit 0
fi

echo "Cache miss: $key"
npm ci --no-audit --no-fund

# Another job may write the same archive, so rename it into place.
partial=$(mktemp "$cache_dir/partial.XXXXXX")
trap 'rm -f "$partial"' EXIT
tar -czf "$partial" node_modules
mv "$partial" "$archive"

find "$cache_dir" -name 'node-modules-*.tar.gz' -printf '%T@\t%p\n' |
  sort -rn | tail -n "+$((keep + 1))" | cut -f2- |
  xargs -r -d '\n' rm -f --
