#!/bin/bash
# Synchronize a directory to a remote server with rsync over SSH
set -euo pipefail

usage() {
  echo "Usage: $0 [-d] [-n] [-e PATTERN]... SOURCE USER@HOST:TARGET" >&2
  echo "  -d  delete files on the server that are gone here" >&2
  echo "  -n  show what would be done" >&2
  echo "  -e  exclude files, e.g. -e '*.log' -e .git/" >&2
  exit 2
}

options=(--archive --compress --partial --human-readable --stats)

while getopts "dne:" option; do
  case $option in
    d) options+=(--delete-after) ;;
    n) options+=(--dry-run --itemize-changes) ;;
    e) options+=("--exclude=$OPTARG") ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
[[ $# -eq 2 && $2 == *:* ]] || usage

source=${1%/}/
target=$2
host=${target%%:*}

# An empty source with -d would delete everything on the server.
if [[ ! -d $source || -z $(ls -A "$source") ]]; then
  echo "Error: $source is missing or empty" >&2
  exit 1
fi

if ! ssh -o BatchMode=yes -o ConnectTimeout=10 "$host" true; then
  echo "Error: cannot log in to $host" >&2
  exit 1
fi

for attempt in 1 2 3; do
  if rsync "${options[@]}" "$source" "$target"; then
    echo "Synchronized $source to $target"
    exit 0
  fi
  echo "Attempt $attempt failed" >&2
  sleep $((attempt * 5))
done
exit 1
