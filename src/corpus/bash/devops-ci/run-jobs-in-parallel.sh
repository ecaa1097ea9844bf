#!/bin/bash
# Run several CI jobs in parallel and report which of them failed
set -euo pipefail

jobs_file=${1:-ci-jobs.txt}
limit=${2:-$(nproc)}

if [[ ! -f $jobs_file ]]; then
  echo "Usage: $0 [JOBS_FILE] [LIMIT]" >&2
  echo "Each line of the file: name<TAB>command" >&2
  exit 2
fi

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

run_job() {
  local name=$1 command=$2 start=$SECONDS status=0
  bash -c "$command" >"$logs/$name.log" 2>&1 || status=$?
  echo "$status" >"$logs/$name.status"
  echo "$name: exit $status after $((SECONDS - start)) s"
}

names=()
while IFS=$'\t' read -r name command; do
  [[ -z $name || $name == \#* ]] && continue
  names+=("$name")
  while (($(jobs -rp | wc -l) >= limit)); do
    wait -n
  done
  run_job "$name" "$command" &
done <"$jobs_file"
wait

failed=0
for name in "${names[@]}"; do
  if [[ $(<"$logs/$name.status") != 0 ]]; then
    failed=$((failed + 1))
    echo "----- $name failed -----"
    cat "$logs/$name.log"
  fi
done

echo "${#names[@]} jobs, $failed failed"
((failed == 0))
