#!/bin/bash
# Find the packages of a monorepo that changed since the main branch and test them
set -euo pipefail

base=${BASE:-origin/main}
packages_dir=${1:-packages}

cd "$(git rev-parse --show-toplevel)"

if [[ ! -d $packages_dir ]]; then
  echo "Error: no directory $packages_dir" >&2
  exit 2
fi

merge_base=$(git merge-base "$base" HEAD)

# A change of one of these files concerns every package.
shared=(package.json package-lock.json Makefile)

if ! git diff --quiet "$merge_base" HEAD -- "${shared[@]}"; then
  echo "Shared files changed, testing everything" >&2
  mapfile -t changed < <(find "$packages_dir" -mindepth 1 -maxdepth 1 -type d | sort)
else
  mapfile -t changed < <(
    git diff --name-only "$merge_base" HEAD -- "$packages_dir" |
      awk -F/ -v depth="$(tr / '\n' <<<"$packages_dir" | wc -l)" '
        NF > depth + 1 {
          path = $1
          for (i = 2; i <= depth + 1; i++) path = path "/" $i
          print path
        }' |
      sort -u
  )
fi

if ((${#changed[@]} == 0)); then
  echo "No package changed" >&2
  exit 0
fi

for package in "${changed[@]}"; do
  [[ -d $package ]] || continue
  echo "=== $package"
  make -C "$package" test
done
