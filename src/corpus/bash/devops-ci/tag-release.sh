#!/bin/bash
# Create a git release tag and push it to the remote
set -euo pipefail

version=${1:-}
remote=${2:-origin}
branch=main

if [[ ! $version =~ ^v?[0-9]+\.[0-9]+\.[0-9]+$ ]]; then
  echo "Usage: $0 VERSION [REMOTE]   e.g. $0 1.4.0" >&2
  exit 2
fi
tag=v${version#v}

abort() {
  echo "Error: $*" >&2
  exit 1
}

[[ $(git branch --show-current) == "$branch" ]] || abort "not on branch $branch"
git diff-index --quiet HEAD -- || abort "there are uncommitted changes"

git fetch --quiet --tags "$remote"
if git rev-parse --quiet --verify "refs/tags/$tag" >/dev/null; then
  abort "tag $tag already exists"
fi
if [[ $(git rev-parse HEAD) != $(git rev-parse "$remote/$branch") ]]; then
  abort "$branch and $remote/$branch differ, pull or push first"
fi

previous=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || true)
range=${previous:+$previous..}HEAD

git tag --annotate "$tag" --file - <<EOF
Release $tag

$(git log --no-merges --format='- %s' "$range")
EOF

git push "$remote" "$tag"
echo "Released $tag with $(git rev-list --count "$range") commits"
