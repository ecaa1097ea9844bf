#!/bin/bash
# Update all git repositories in a directory with a fast-forward pull
set -euo pipefail

root=${1:-$PWD}
updated=0
skipped=()

if [[ ! -d $root ]]; then
  echo "Usage: $0 [DIRECTORY]" >&2
  exit 2
fi

while IFS= read -r -d '' git_dir; do
  repository=${git_dir%/.git}
  name=${repository#"$root"/}

  if [[ -n $(git -C "$repository" status --porcelain) ]]; then
    skipped+=("$name: uncommitted changes")
    continue
  fi
  if ! git -C "$repository" rev-parse --quiet --verify '@{upstream}' >/dev/null 2>&1; then
    skipped+=("$name: no upstream branch")
    continue
  fi

  old=$(git -C "$repository" rev-parse HEAD)
  if ! git -C "$repository" pull --quiet --ff-only --prune; then
    skipped+=("$name: cannot fast-forward")
    continue
  fi
  new=$(git -C "$repository" rev-parse HEAD)
  if [[ $old != "$new" ]]; then
    updated=$((updated + 1))
    echo "$name: $(git -C "$repository" rev-list --count "$old..$new") new commits"
  fi
done < <(find "$root" -maxdepth 3 -type d -name .git -print0 | sort -z)

echo "$updated repositories updated, ${#skipped[@]} skipped"
if ((${#skipped[@]} > 0)); then
  printf '  %s\n' "${skipped[@]}" >&2
fi
