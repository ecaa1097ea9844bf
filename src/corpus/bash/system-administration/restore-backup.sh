#!/bin/bash
# Restore the newest backup archive into a directory after checking it
set -euo pipefail

if [[ $# -ne 2 ]]; then
  echo "Usage: $0 BACKUP_DIR TARGET_DIR" >&2
  exit 2
fi
backup_dir=$1
target=$2

newest=$(
  find "$backup_dir" -maxdepth 1 -type f -name '*.tar.gz' -printf '%T@ %p\n' |
    sort -n | tail -n 1 | cut -d' ' -f2-
)
if [[ -z $newest ]]; then
  echo "Error: no .tar.gz archive in $backup_dir" >&2
  exit 1
fi
echo "Newest backup: $newest"

if [[ -f $newest.sha256 ]]; then
  (cd "$backup_dir" && sha256sum --check --quiet "$(basename "$newest").sha256")
fi

if ! tar -tzf "$newest" >/dev/null; then
  echo "Error: the archive is damaged" >&2
  exit 1
fi

if [[ -d $target && -n $(ls -A "$target") ]]; then
  read -r -p "$target is not empty, overwrite its files? [y/N] " answer
  [[ $answer == [yY] ]] || exit 1
fi

mkdir -p "$target"
tar -xzpf "$newest" -C "$target"
echo "Restored $(tar -tzf "$newest" | wc -l) entries into $target"
