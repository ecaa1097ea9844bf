#!/bin/bash
# Build a Docker image, tag it with the commit and push it to a registry
set -euo pipefail

usage() {
  echo "Usage: $0 [-f DOCKERFILE] [-l] REGISTRY/IMAGE" >&2
  echo "  -l  push the tag 'latest' too" >&2
  exit 2
}

dockerfile=Dockerfile
push_latest=false
while getopts "f:l" option; do
  case $option in
    f) dockerfile=$OPTARG ;;
    l) push_latest=true ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
image=${1:-}
[[ -n $image ]] || usage

if [[ -n $(git status --porcelain) ]]; then
  echo "Error: commit your changes first, the tag names a commit" >&2
  exit 1
fi
commit=$(git rev-parse --short=12 HEAD)

docker build \
  --file "$dockerfile" \
  --tag "$image:$commit" \
  --label "org.opencontainers.image.revision=$(git rev-parse HEAD)" \
  --label "org.opencontainers.image.created=$(date -u +%FT%TZ)" \
  .

docker push "$image:$commit"
if [[ $push_latest == true ]]; then
  docker tag "$image:$commit" "$image:latest"
  docker push "$image:latest"
fi

echo "Pushed $image:$commit"
