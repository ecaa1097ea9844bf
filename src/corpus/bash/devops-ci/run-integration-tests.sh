#!/bin/bash
# Start the services with Docker Compose, run the integration tests and clean up
set -euo pipefail

compose_file=${COMPOSE_FILE:-docker-compose.test.yml}
project=test-${CI_JOB_ID:-$$}
logs=${LOG_DIR:-test-logs}

compose() {
  docker compose --file "$compose_file" --project-name "$project" "$@"
}

cleanup() {
  local status=$?
  if ((status != 0)); then
    mkdir -p "$logs"
    compose logs --no-color --timestamps >"$logs/services.log" 2>&1 || true
    echo "Tests failed, see $logs/services.log" >&2
  fi
  compose down --volumes --remove-orphans --timeout 5 >/dev/null 2>&1 || true
  exit "$status"
}

if [[ ! -f $compose_file ]]; then
  echo "Error: $compose_file not found" >&2
  exit 2
fi

trap cleanup EXIT
trap 'exit 130' INT TERM

compose build --quiet
# Waits for the health check of every service.
compose up --detach --wait --wait-timeout 120 database redis app

compose run --rm --no-TTY migrate
compose run --rm --no-TTY tests "$@"
