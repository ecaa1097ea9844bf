#!/bin/bash
# Validate all Kubernetes manifests in a directory before they are deployed
set -euo pipefail

dir=${1:-k8s}
mode=client

case ${2:-} in
  --server) mode=server ;;
  "") ;;
  *) echo "Usage: $0 [DIRECTORY] [--server]" >&2; exit 2 ;;
esac

[[ -d $dir ]] || { echo "Error: no directory $dir" >&2; exit 2; }

mapfile -d '' -t manifests < <(
  find "$dir" -type f \( -name '*.yaml' -o -name '*.yml' \) \
    ! -name 'kustomization.*' -print0 | sort -z
)

failures=0
for manifest in "${manifests[@]}"; do
  if output=$(kubectl apply --dry-run="$mode" --filename "$manifest" 2>&1); then
    echo "ok    $manifest"
  else
    failures=$((failures + 1))
    echo "FAIL  $manifest"
    while IFS= read -r line; do
      echo "        $line"
    done <<<"$output"
  fi

  # An image without a fixed tag makes a deployment impossible to repeat.
  if grep -nE '^ *-? *image: *[^ ]+:latest|^ *-? *image: *[^: ]+$' "$manifest"; then
    failures=$((failures + 1))
    echo "FAIL  $manifest: images need a fixed tag"
  fi
done

echo "${#manifests[@]} manifests, $failures problems"
((failures == 0))
