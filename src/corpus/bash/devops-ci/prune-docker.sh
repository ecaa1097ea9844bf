#!/bin/bash
# Clean up unused Docker containers, images, volumes and build cache
set -euo pipefail

age=${AGE:-168h}
volumes=no

for argument in "$@"; do
  case $argument in
    --volumes) volumes=yes ;;
    --age=*) age=${argument#--age=} ;;
    -h | --help)
      echo "Usage: $0 [--age=168h] [--volumes]"
      exit 0
      ;;
    *)
      echo "Unknown argument: $argument" >&2
      exit 2
      ;;
  esac
done

docker info >/dev/null 2>&1 || {
  echo "Error: cannot talk to the Docker daemon" >&2
  exit 1
}

docker_root=$(docker info --format '{{.DockerRootDir}}')
free_bytes() {
  df --output=avail -B1 "$docker_root" 2>/dev/null | tail -n 1
}

before=$(free_bytes)
docker container prune --force --filter "until=$age"
docker image prune --all --force --filter "until=$age"
docker builder prune --force --filter "until=$age"
docker network prune --force --filter "until=$age"
if [[ $volumes == yes ]]; then
  docker volume prune --force
fi
after=$(free_bytes)

freed=$((after > before ? after - before : 0))
echo "Freed $(numfmt --to=iec "$freed") in $docker_root"
