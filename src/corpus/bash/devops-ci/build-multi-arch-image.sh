#!/bin/bash
# Build and push a Docker image for amd64 and arm64 with buildx
set -euo pipefail

image=${1:?Usage: $0 IMAGE TAG [CONTEXT]}
tag=${2:?Usage: $0 IMAGE TAG [CONTEXT]}
context=${3:-.}
platforms=${PLATFORMS:-linux/amd64,linux/arm64}
builder=multi-arch

if ! docker buildx version >/dev/null 2>&1; then
  echo "Error: docker buildx is not installed" >&2
  exit 1
fi

if ! docker buildx inspect "$builder" >/dev/null 2>&1; then
  # Emulation for the architectures that this machine does not have.
  docker run --privileged --rm tonistiigi/binfmt --install all
  docker buildx create --name "$builder" --driver docker-container
fi
docker buildx inspect --bootstrap "$builder" >/dev/null

docker buildx build \
  --builder "$builder" \
  --platform "$platforms" \
  --tag "$image:$tag" \
  --cache-from "type=registry,ref=$image:cache" \
  --cache-to "type=registry,ref=$image:cache,mode=max" \
  --provenance=false \
  --push \
  "$context"

manifest=$(docker buildx imagetools inspect "$image:$tag")
for platform in ${platforms//,/ }; do
  if ! grep -q "$platform" <<<"$manifest"; then
    echo "Error: $image:$tag lacks $platform" >&2
    exit 1
  fi
done
echo "Pushed $image:$tag for $platforms"
