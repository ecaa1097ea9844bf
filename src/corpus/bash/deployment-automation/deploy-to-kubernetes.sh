#!/bin/bash
# Update the image of a Kubernetes deployment, wait for the rollout and undo it on failure
set -euo pipefail

if [[ $# -lt 2 ]]; then
  echo "Usage: $0 DEPLOYMENT IMAGE [NAMESPACE]" >&2
  echo "Example: $0 web registry.example.com/web:1.4.2 shop" >&2
  exit 2
fi

deployment=deployment/$1
image=$2
namespace=${3:-default}
timeout=180s

kube() {
  kubectl --namespace "$namespace" "$@"
}

if ! kube get "$deployment" >/dev/null; then
  echo "Error: no $deployment in $namespace on $(kubectl config current-context)" >&2
  exit 1
fi

container=$(kube get "$deployment" -o jsonpath='{.spec.template.spec.containers[0].name}')
old_image=$(kube get "$deployment" -o jsonpath='{.spec.template.spec.containers[0].image}')

if [[ $old_image == "$image" ]]; then
  echo "$deployment runs $image already"
  exit 0
fi

echo "$deployment: $old_image -> $image"
kube set image "$deployment" "$container=$image"
kube annotate "$deployment" --overwrite kubernetes.io/change-cause="$image by $(id -un)"

if kube rollout status "$deployment" --timeout="$timeout"; then
  echo "Rollout complete"
  exit 0
fi

echo "Error: the rollout did not finish within $timeout, last events:" >&2
kube get events --sort-by=.lastTimestamp | tail -n 10 >&2
kube rollout undo "$deployment"
kube rollout status "$deployment" --timeout="$timeout"
exit 1
