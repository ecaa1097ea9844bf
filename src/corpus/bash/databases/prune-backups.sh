#!/bin/bash
# Delete old database backups but keep seven daily, four weekly and twelve monthly ones
set -euo pipefail

if [[ $# -lt 2 ]]; then
  echo "Usage: $0 BACKUP_DIR DATABASE [--delete]" >&2
  echo "The files are named like shop-20240131-020000.sql.gz" >&2
  exit 2
fi
dir=$1
database=$2
delete=${3:-}

daily=7
weekly=4
monthly=12

[[ -d $dir ]] || { echo "Error: no directory $dir" >&2; exit 1; }
declare -A keep=() days=() weeks=() months=()

# Newest first.
mapfile -t files < <(
  find "$dir" -maxdepth 1 -type f -name "$database-[0-9]*" -printf '%f\n' | sort -r
)

for file in "${files[@]}"; do
  date=${file#"$database-"}
  date=${date:0:8}
  if ! week=$(date -d "$date" +%G-%V 2>/dev/null); then
    keep[$file]="no date"
    continue
  fi
  month=${date:0:6}

  # The newest backup of each of the last days, weeks and months stays.
  if [[ -z ${days[$date]:-} ]] && ((${#days[@]} < daily)); then
    days[$date]=1 keep[$file]=daily
  fi
  if [[ -z ${weeks[$week]:-} ]] && ((${#weeks[@]} < weekly)); then
    weeks[$week]=1 keep[$file]=${keep[$file]:-weekly}
  fi
  if [[ -z ${months[$month]:-} ]] && ((${#months[@]} < monthly)); then
    months[$month]=1 keep[$file]=${keep[$file]:-monthly}
  fi
done

for file in "${files[@]}"; do
  if [[ -n ${keep[$file]:-} ]]; then
    echo "keep   $file (${keep[$file]})"
  elif [[ $delete == --delete ]]; then
    rm -f -- "$dir/$file"
    echo "delete $file"
  else
    echo "would delete $file"
  fi
done
