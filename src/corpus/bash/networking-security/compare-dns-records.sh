#!/bin/bash
# Compare the answers of several DNS servers for a domain and report differences
set -euo pipefail

domain=${1:?usage: $0 DOMAIN [RECORD_TYPE]}
type=${2:-A}
servers=(1.1.1.1 8.8.8.8 9.9.9.9)

if ! command -v dig >/dev/null; then
  echo "Error: dig not found, install dnsutils or bind-utils" >&2
  exit 1
fi

declare -A answers

for server in "${servers[@]}"; do
  # dig writes its own errors as comments that start with a semicolon.
  if answer=$(dig "@$server" "$domain" "$type" +short +time=3 +tries=1); then
    answers[$server]=$(grep -v '^;' <<<"$answer" | sort | paste -sd ' ' -)
  else
    answers[$server]="no answer"
  fi
  printf '%-10s %s\n' "$server" "${answers[$server]:-(empty)}"
done

distinct=$(printf '%s\n' "${answers[@]}" | sort -u | wc -l)
if ((distinct > 1)); then
  echo "The servers disagree on the $type record of $domain" >&2
  exit 1
fi

echo "All ${#servers[@]} servers agree on the $type record of $domain"
