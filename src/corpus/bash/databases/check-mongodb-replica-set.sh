#!/bin/bash
# Check that a MongoDB replica set has a primary and that all members are healthy
set -euo pipefail

uri=${MONGO_URI:-mongodb://localhost:27017}
max_lag=${1:-30}

for tool in mongosh jq; do
  if ! command -v "$tool" >/dev/null; then
    echo "Error: $tool is not installed" >&2
    exit 3
  fi
done

if ! status=$(mongosh "$uri" --quiet --eval 'EJSON.stringify(rs.status())' 2>/dev/null); then
  echo "CRITICAL: cannot read the state of the replica set" >&2
  exit 2
fi

primary=$(jq -r '.members[] | select(.stateStr == "PRIMARY") | .name' <<<"$status")
if [[ -z $primary ]]; then
  echo "CRITICAL: $(jq -r .set <<<"$status") has no primary" >&2
  exit 2
fi
echo "Primary: $primary"

members=$(
  jq -r '
    def seconds: .optimeDate["$date"][0:19] + "Z" | fromdate;
    (.members[] | select(.stateStr == "PRIMARY") | seconds) as $newest
    | .members[] | select(.stateStr != "PRIMARY")
    | [.name, .stateStr, .health, $newest - seconds] | @tsv
  ' <<<"$status"
)

failed=0
while IFS=$'\t' read -r name state health lag; do
  [[ -n $name ]] || continue
  echo "$name: $state, $lag s behind"
  if [[ $health != 1 || $state != SECONDARY ]] || ((lag > max_lag)); then
    failed=$((failed + 1))
  fi
done <<<"$members"

if ((failed > 0)); then
  echo "CRITICAL: $failed members are not healthy" >&2
  exit 2
fi
