#!/bin/bash
# Delete local and remote git branches that are already merged
set -euo pipefail

base=main
remote=origin
delete_remote=false

while [[ $# -gt 0 ]]; do
  case $1 in
    --base) base=${2:?}; shift ;;
    --remote) delete_remote=true ;;
    *)
      echo "Usage: $0 [--base BRANCH] [--remote]" >&2
      exit 2
      ;;
  esac
  shift
done

protected="^($base|main|master|develop|release/.*)$"
current=$(git branch --show-current)

git fetch --quiet --prune "$remote"

git for-each-ref --merged "$remote/$base" --format='%(refname:short)' refs/heads |
  while read -r branch; do
    [[ $branch =~ $protected || $branch == "$current" ]] && continue
    git branch -D "$branch"
  done

[[ $delete_remote == true ]] || exit 0

git for-each-ref --merged "$remote/$base" --format='%(refname:lstrip=3)' "refs/remotes/$remote" |
  while read -r branch; do
    [[ $branch =~ $protected || $branch == HEAD ]] && continue
    echo "Deleting $remote/$branch"
    git push --quiet "$remote" --delete "$branch"
  done
