#!/bin/bash
# Pack the build output and upload it to an S3 bucket with a checksum
set -euo pipefail

: "${BUCKET:?Set BUCKET to the name of the S3 bucket}"

build_dir=${1:-dist}
project=$(basename "$(git rev-parse --show-toplevel)")
branch=${BRANCH:-$(git rev-parse --abbrev-ref HEAD)}
commit=$(git rev-parse --short HEAD)

if [[ ! -d $build_dir || -z $(ls -A "$build_dir") ]]; then
  echo "Error: $build_dir is missing or empty, build first" >&2
  exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

archive=$project-$commit.tar.gz

# Sorted names and fixed times give the same archive for the same files.
tar --sort=name --owner=0 --group=0 --numeric-owner \
  --mtime="@$(git log -1 --format=%ct)" \
  -C "$build_dir" -cf - . | gzip -n9 >"$work/$archive"
(cd "$work" && sha256sum "$archive" >"$archive.sha256")

target=s3://$BUCKET/$project/${branch//\//-}
for file in "$archive" "$archive.sha256"; do
  aws s3 cp --only-show-errors "$work/$file" "$target/$file"
done

echo "$commit" | aws s3 cp --only-show-errors - "$target/LATEST"
echo "Uploaded $target/$archive ($(du -h "$work/$archive" | cut -f1))"
