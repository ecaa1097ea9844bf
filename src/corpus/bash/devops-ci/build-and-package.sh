#!/bin/bash
# Build, test and package a C project with make and write a summary
set -euo pipefail

project_dir=${1:-.}
cd "$project_dir"

if [[ ! -f Makefile ]]; then
  echo "Error: no Makefile in $PWD" >&2
  exit 2
fi

jobs=$(nproc)
log_dir=build-logs
mkdir -p "$log_dir"
summary=$log_dir/summary.txt
: >"$summary"

step() {
  local name=$1 start=$SECONDS
  shift
  if "$@" >"$log_dir/$name.log" 2>&1; then
    printf '%-8s ok      %4d s\n' "$name" $((SECONDS - start)) | tee -a "$summary"
  else
    printf '%-8s FAILED  %4d s\n' "$name" $((SECONDS - start)) | tee -a "$summary"
    echo "--- end of $log_dir/$name.log" >&2
    tail -n 30 "$log_dir/$name.log" >&2
    exit 1
  fi
}

step clean make clean
step build make --jobs="$jobs"
step test make test

prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
step install make install DESTDIR="$prefix"

version=$(git describe --tags --always --dirty 2>/dev/null || echo unknown)
package=$(basename "$PWD")-$version-$(uname -m).tar.gz
step package tar -czf "$package" -C "$prefix" .

echo "Built $package ($(du -h "$package" | cut -f1))" | tee -a "$summary"
