#!/bin/bash
# Search all log files in a directory for a pattern, including rotated and compressed ones
set -euo pipefail

usage() {
  cat >&2 <<EOF
Usage: $(basename "$0") [-i] [-c LINES] [-d DAYS] PATTERN [DIRECTORY]
  -i        ignore case
  -c LINES  lines of context around each match
  -d DAYS   only files changed in the last DAYS days
EOF
  exit 2
}

grep_options=(-H -n -E --color=auto)
find_options=()

while getopts "ic:d:" option; do
  case $option in
    i) grep_options+=(-i) ;;
    c) grep_options+=(-C "$OPTARG") ;;
    d) find_options+=(-mtime "-$OPTARG") ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
[[ $# -ge 1 ]] || usage

pattern=$1
directory=${2:-/var/log}
matches=0

while IFS= read -r -d '' file; do
  # Each tool exits with 1 when the file has no match.
  case $file in
    *.gz) tool=zgrep ;;
    *.xz) tool=xzgrep ;;
    *.bz2) tool=bzgrep ;;
    *) tool="grep" ;;
  esac
  if "$tool" "${grep_options[@]}" -e "$pattern" "$file" 2>/dev/null; then
    matches=$((matches + 1))
  fi
done < <(find "$directory" -type f \( -name '*.log*' -o -name 'syslog*' -o -name 'messages*' \) \
  "${find_options[@]}" -print0 | sort -z)

echo "$matches files match '$pattern'" >&2
((matches > 0))
