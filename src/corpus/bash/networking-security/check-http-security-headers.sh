#!/bin/bash
# Check which HTTP security headers are missing from a website
set -euo pipefail

url=${1:-}

if [[ ! $url =~ ^https?:// ]]; then
  echo "Usage: $0 https://example.com" >&2
  exit 2
fi

required=(
  strict-transport-security
  content-security-policy
  x-content-type-options
  x-frame-options
  referrer-policy
  permissions-policy
)

headers=$(mktemp)
trap 'rm -f "$headers"' EXIT

if ! curl -fsSL --max-time 15 -D "$headers" -o /dev/null "$url"; then
  echo "Error: cannot fetch $url" >&2
  exit 1
fi

missing=0
for name in "${required[@]}"; do
  # After redirects the last answer counts.
  value=$(tr -d '\r' <"$headers" | awk -v name="$name" '
    /^HTTP\// { value = "" }
    tolower($0) ~ "^" name ":" { sub(/^[^:]*: */, ""); value = $0 }
    END { print value }')
  if [[ -n $value ]]; then
    printf 'present  %-26s %s\n' "$name" "$value"
  else
    printf 'MISSING  %s\n' "$name"
    missing=$((missing + 1))
  fi
done

if grep -qiE '^(server|x-powered-by):.*[0-9]' "$headers"; then
  echo "Note: the answer gives away a software version"
fi

echo "$missing of ${#required[@]} headers missing"
((missing == 0))
