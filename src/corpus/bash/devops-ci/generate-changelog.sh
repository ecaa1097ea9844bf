#!/bin/bash
# Generate a changelog from the git commits since the last tag
set -euo pipefail

to=${1:-HEAD}
from=${2:-$(git describe --tags --abbrev=0 "$to^" 2>/dev/null || true)}
range=${from:+$from..}$to

scope='(\([^)]*\))?'

# Prints a section with the commits whose type matches a pattern.
section() {
  local title=$1 pattern=$2 lines
  lines=$(
    git log --no-merges --format='%s (%h)' "$range" |
      sed -nE "s/^($pattern): /- /p"
  )
  if [[ -n $lines ]]; then
    printf '### %s\n\n%s\n\n' "$title" "$lines"
  fi
}

if [[ -z $(git rev-list --max-count=1 "$range") ]]; then
  echo "No commits in $range" >&2
  exit 1
fi

name=$to
[[ $to == HEAD ]] && name=Unreleased

printf '## %s (%s)\n\n' "$name" "$(git log -1 --format=%cs "$to")"
section "Breaking changes" "[a-z]+$scope!"
section "Features" "feat$scope"
section "Fixes" "fix$scope"
section "Performance" "perf$scope"
section "Documentation" "docs$scope"
section "Other" "(build|chore|ci|refactor|style|test)$scope"

authors=$(git shortlog --summary --no-merges "$range" | wc -l)
echo "$(git rev-list --count --no-merges "$range") commits by $authors authors"
