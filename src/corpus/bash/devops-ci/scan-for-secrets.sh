#!/bin/bash
# Scan a git repository for passwords, tokens and private keys
set -euo pipefail

repository=${1:-.}
cd "$repository"
git rev-parse --is-inside-work-tree >/dev/null

declare -A patterns=(
  ["AWS access key"]='AKIA[0-9A-Z]{16}'
  ["GitHub token"]='gh[pousr]_[A-Za-z0-9]{36}'
  ["Slack token"]='xox[baprs]-[A-Za-z0-9-]{10,}'
  ["Private key"]='-----BEGIN ([A-Z]+ )?PRIVATE KEY-----'
  ["Password in a URL"]='[a-z]+://[^/:@ ]+:[^/:@ $]+@'
  ["Password in code"]='(password|passwd|secret) *[:=] *["'\''][^"'\'' $]{8,}'
)

# Lines that contain this word are accepted.
allow='allow-secret'
found=0

for name in "${!patterns[@]}"; do
  matches=$(
    git grep -nIiE -e "${patterns[$name]}" -- . ':!*.lock' ':!*-lock.json' |
      grep -v "$allow" || true
  )
  [[ -n $matches ]] || continue

  count=$(wc -l <<<"$matches")
  found=$((found + count))
  echo "$name ($count):"
  # Show where it is, not what it is.
  cut -d: -f1,2 <<<"$matches" | sed 's/^/  /'
done

if ((found > 0)); then
  echo "Found $found possible secrets" >&2
  exit 1
fi
echo "No secrets found"
