#!/bin/bash
# Start a GitHub Actions workflow and wait for its result
set -euo pipefail

workflow=${1:-}
branch=${2:-$(git branch --show-current)}

if [[ -z $workflow ]]; then
  echo "Usage: $0 WORKFLOW.yml [BRANCH] [NAME=VALUE...]" >&2
  exit 2
fi
shift $(($# < 2 ? $# : 2))

inputs=()
for input in "$@"; do
  inputs+=(--raw-field "$input")
done

gh auth status >/dev/null

newest_run() {
  gh run list --workflow "$workflow" --branch "$branch" \
    --event workflow_dispatch --limit 1 \
    --json databaseId --jq '.[0].databaseId // 0'
}

before=$(newest_run)
gh workflow run "$workflow" --ref "$branch" ${inputs[@]+"${inputs[@]}"}

# The new run takes a few seconds to appear.
run=$before
for ((try = 0; try < 20; try++)); do
  sleep 3
  run=$(newest_run)
  [[ $run != "$before" ]] && break
done
if [[ $run == "$before" ]]; then
  echo "Error: the workflow did not start" >&2
  exit 1
fi

echo "Started $(gh run view "$run" --json url --jq .url)"
if ! gh run watch "$run" --exit-status >/dev/null; then
  gh run view "$run" --log-failed | tail -n 40 >&2
  echo "Error: the workflow failed" >&2
  exit 1
fi
echo "The workflow succeeded"
