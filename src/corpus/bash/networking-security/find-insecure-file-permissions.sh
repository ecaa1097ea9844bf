#!/bin/bash
# Find world-writable files, setuid programs and files without an owner under a directory
set -euo pipefail

root=${1:-/}

if [[ ! -d $root ]]; then
  echo "Error: $root is not a directory" >&2
  exit 2
fi

total=0

# Run find with the given tests and print what it finds under a heading.
report() {
  local title=$1
  shift
  local -a found
  # -xdev stays on one file system, so /proc and network mounts are skipped.
  mapfile -d '' -t found < <(find "$root" -xdev "$@" -print0 2>/dev/null)
  echo "== $title: ${#found[@]}"
  if ((${#found[@]} > 0)); then
    printf '%s\0' "${found[@]}" | xargs -0 stat -c '%A %U:%G %n' --
  fi
  echo
  total=$((total + ${#found[@]}))
}

report "World-writable files" -type f -perm -0002
report "World-writable directories without the sticky bit" -type d -perm -0002 ! -perm -1000
report "Programs that run as another user" -type f -perm /6000
report "Files without an owner" \( -nouser -o -nogroup \)
report "Private keys that others can read" -type f -name 'id_*' ! -name '*.pub' -perm /0077

echo "$total findings under $root"
((total == 0))
