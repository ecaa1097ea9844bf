#!/bin/bash
# Check that all commit messages of a branch follow the conventional format
set -euo pipefail

base=${1:-origin/main}
types='build|chore|ci|docs|feat|fix|perf|refactor|revert|style|test'
pattern="^($types)(\([a-z0-9-]+\))?!?: .+"
max_length=72

if ! git rev-parse --verify --quiet "$base^{commit}" >/dev/null; then
  echo "Error: unknown base '$base'" >&2
  exit 2
fi

errors=0
report() {
  echo "$1: $2" >&2
  echo "    $3" >&2
  errors=$((errors + 1))
}

while IFS=$'\t' read -r hash subject; do
  if [[ ! $subject =~ $pattern ]]; then
    report "$hash" "does not start with 'type: ' or 'type(scope): '" "$subject"
  fi
  if ((${#subject} > max_length)); then
    report "$hash" "is ${#subject} characters long, at most $max_length" "$subject"
  fi
  if [[ $subject == *. ]]; then
    report "$hash" "ends with a full stop" "$subject"
  fi
done < <(git log --no-merges --format='%h%x09%s' "$base..HEAD")

if ((errors > 0)); then
  echo "$errors problems found" >&2
  exit 1
fi
echo "All commit messages are fine"
