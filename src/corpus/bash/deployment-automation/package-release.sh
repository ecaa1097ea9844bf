#!/bin/bash
# Package the tagged version of a git repository as a release archive with a checksum
set -euo pipefail

output=${1:-release}

if ! git rev-parse --is-inside-work-tree &>/dev/null; then
  echo "Error: not inside a git repository" >&2
  exit 2
fi

if ! git diff --quiet HEAD; then
  echo "Error: commit or discard your changes first" >&2
  exit 1
fi

tag=$(git describe --tags --exact-match 2>/dev/null) || {
  echo "Error: the current commit has no tag, set one with: git tag v1.2.3" >&2
  exit 1
}

name=$(basename "$(git rev-parse --show-toplevel)")
base=$name-${tag#v}
archive=$output/$base.tar.gz
mkdir -p "$output"

# git archive takes tracked files only; gzip -n leaves out the time, so the
# same commit always gives the same bytes.
git archive --format=tar --prefix="$base/" "$tag" | gzip -n -9 >"$archive"

previous=$(git describe --tags --abbrev=0 "$tag^" 2>/dev/null) || previous=""
{
  echo "Changes in $tag:"
  git log --no-merges --pretty='- %s (%an)' "${previous:+$previous..}$tag"
} >"$output/$base-changes.txt"

cd "$output"
sha256sum "$base.tar.gz" >"$base.tar.gz.sha256"
sha256sum --check --quiet "$base.tar.gz.sha256"

echo "$archive: $(stat -c %s "$base.tar.gz") bytes, $(tar -tzf "$base.tar.gz" | wc -l) entries"
