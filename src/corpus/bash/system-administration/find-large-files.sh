#!/bin/bash
# Find the ten largest files in a directory
set -euo pipefail

dir=.
count=10
min_size=1M

usage() {
  cat <<EOF
Usage: $0 [-n COUNT] [-m MIN_SIZE] [DIRECTORY]

  -n COUNT     how many files to print (default $count)
  -m MIN_SIZE  ignore smaller files, e.g. 500k, 10M, 1G (default $min_size)
EOF
}

while getopts "n:m:h" option; do
  case $option in
    n) count=$OPTARG ;;
    m) min_size=$OPTARG ;;
    h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
shift $((OPTIND - 1))
dir=${1:-$dir}

if [[ ! -d $dir ]]; then
  echo "Error: $dir is not a directory" >&2
  exit 1
fi

find "$dir" -xdev -type f -size "+$min_size" -printf '%s\t%p\n' |
  sort -k1,1nr |
  awk -v count="$count" 'NR <= count' |
  numfmt --field=1 --to=iec --padding=8
