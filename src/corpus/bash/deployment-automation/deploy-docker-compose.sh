#!/bin/bash
# Deploy a docker compose project with new images and roll back when it does not become healthy
set -euo pipefail

project_dir=${1:-.}
tag=${2:-latest}
tag_file=.deployed-tag

cd "$project_dir"

if [[ ! -f compose.yaml && ! -f docker-compose.yml ]]; then
  echo "Error: no compose file in $PWD" >&2
  exit 2
fi

# The compose file names its image as image: registry/app:${TAG}
start() {
  TAG=$1 docker compose up -d --remove-orphans --wait --wait-timeout 120
}

previous=""
if [[ -f $tag_file ]]; then
  previous=$(<"$tag_file")
fi

echo "Deploying tag $tag (before: ${previous:-none})"
TAG=$tag docker compose config --quiet
TAG=$tag docker compose pull

if start "$tag"; then
  echo "$tag" >"$tag_file"
  docker image prune -f >/dev/null
  TAG=$tag docker compose ps
  exit 0
fi

echo "Error: tag $tag did not become healthy" >&2
TAG=$tag docker compose logs --tail 30 >&2

if [[ -n $previous && $previous != "$tag" ]]; then
  echo "Rolling back to $previous" >&2
  start "$previous"
fi
exit 1
