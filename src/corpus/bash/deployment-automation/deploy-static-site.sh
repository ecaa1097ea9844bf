#!/bin/bash
# Build a static website, compress its files and upload it to a web server
set -euo pipefail

target=${DEPLOY_TARGET:-}
build_dir=${BUILD_DIR:-dist}
build_command=${BUILD_COMMAND:-npm run build}

if [[ -z $target ]]; then
  echo "Set DEPLOY_TARGET, for example: DEPLOY_TARGET=web@example.com:/var/www/site $0" >&2
  exit 2
fi

if [[ -n $(git status --porcelain 2>/dev/null) ]]; then
  echo "Warning: there are changes that are not committed" >&2
fi

rm -rf "$build_dir"
bash -c "$build_command"

if [[ ! -s $build_dir/index.html ]]; then
  echo "Error: the build made no $build_dir/index.html" >&2
  exit 1
fi

# nginx with gzip_static sends the .gz file when there is one.
find "$build_dir" -type f -size +1k \
  \( -name '*.html' -o -name '*.css' -o -name '*.js' -o -name '*.svg' -o -name '*.json' \) \
  -exec gzip -k -9 -f {} +

git rev-parse --short HEAD >"$build_dir/version.txt" 2>/dev/null || date >"$build_dir/version.txt"

# Upload new assets first and pages last, so that no page misses its assets.
rsync -az --exclude='*.html' --exclude='*.html.gz' "$build_dir/" "$target/"
rsync -az --delete-after "$build_dir/" "$target/"

echo "Uploaded $(find "$build_dir" -type f | wc -l) files, version $(<"$build_dir/version.txt")"
