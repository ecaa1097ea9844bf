#!/bin/bash
# Bump the major, minor or patch version in a VERSION file and commit it
set -euo pipefail

part=${1:-patch}
file=VERSION

if [[ ! -f $file ]]; then
  echo "Error: no $file in $PWD" >&2
  exit 1
fi

current=$(<"$file")
if [[ ! $current =~ ^([0-9]+)\.([0-9]+)\.([0-9]+)$ ]]; then
  echo "Error: '$current' is not a version like 1.2.3" >&2
  exit 1
fi
major=${BASH_REMATCH[1]}
minor=${BASH_REMATCH[2]}
patch=${BASH_REMATCH[3]}

case $part in
  major) next=$((major + 1)).0.0 ;;
  minor) next=$major.$((minor + 1)).0 ;;
  patch) next=$major.$minor.$((patch + 1)) ;;
  *)
    echo "Usage: $0 [major|minor|patch]" >&2
    exit 2
    ;;
esac

echo "$next" >"$file"
files=("$file")

if [[ -f package.json ]]; then
  updated=$(jq --arg version "$next" '.version = $version' package.json)
  printf '%s\n' "$updated" >package.json
  files+=(package.json)
fi

git add -- "${files[@]}"
git commit --quiet --message "Bump version to $next" -- "${files[@]}"
echo "$current -> $next"
