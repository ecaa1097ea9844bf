#!/bin/bash
# Create a GitHub release with notes, archives and checksums
set -euo pipefail

tag=${1:-$(git describe --tags --exact-match 2>/dev/null || true)}
dist=${2:-dist}

if [[ -z $tag ]]; then
  echo "Usage: $0 [TAG] [DIST_DIR]" >&2
  echo "HEAD has no tag, so TAG is needed" >&2
  exit 2
fi

gh auth status >/dev/null || exit 1

if gh release view "$tag" >/dev/null 2>&1; then
  echo "Error: release $tag exists already" >&2
  exit 1
fi

shopt -s nullglob
assets=("$dist"/*.tar.gz "$dist"/*.zip "$dist"/*.deb)
if ((${#assets[@]} == 0)); then
  echo "Error: nothing to release in $dist" >&2
  exit 1
fi

checksums=$dist/SHA256SUMS
(
  cd "$dist"
  sha256sum -- "${assets[@]##*/}" >SHA256SUMS
)

options=(--title "$tag" --generate-notes --verify-tag)
# A tag like v1.2.0-rc.1 is a pre-release.
if [[ $tag == *-* ]]; then
  options+=(--prerelease)
fi

gh release create "$tag" "${options[@]}" "${assets[@]}" "$checksums"
gh release view "$tag" --json url --jq .url
