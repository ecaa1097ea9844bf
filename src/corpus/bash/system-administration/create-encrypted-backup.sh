#!/bin/bash
# Create an encrypted backup of several directories with gpg
set -euo pipefail

recipient=""
output_dir=$HOME/backups

while getopts "r:o:" option; do
  case $option in
    r) recipient=$OPTARG ;;
    o) output_dir=$OPTARG ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))

if [[ -z $recipient || $# -eq 0 ]]; then
  echo "Usage: $0 -r GPG_KEY [-o OUTPUT_DIR] DIRECTORY..." >&2
  exit 2
fi

if ! gpg --list-keys "$recipient" >/dev/null 2>&1; then
  echo "Error: no public key for $recipient" >&2
  exit 1
fi

for dir in "$@"; do
  [[ -d $dir ]] || { echo "Error: $dir is not a directory" >&2; exit 1; }
done

umask 077
mkdir -p "$output_dir"
backup=$output_dir/backup-$(date +%Y%m%d-%H%M%S).tar.gz.gpg
trap 'rm -f "$backup.partial"' EXIT

# The plain archive never touches the disk.
tar -czf - --exclude-caches -- "$@" |
  gpg --batch --encrypt --trust-model always --recipient "$recipient" >"$backup.partial"

mv "$backup.partial" "$backup"
(cd "$output_dir" && sha256sum "${backup##*/}" >"${backup##*/}.sha256")
echo "Saved $backup"
echo "Restore with: gpg -d $(basename "$backup") | tar -xz"
