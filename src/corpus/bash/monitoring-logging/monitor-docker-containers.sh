#!/bin/bash
# Monitor docker containers and report the ones that are stopped, unhealthy or restarting
set -euo pipefail

if ! docker info &>/dev/null; then
  echo "Error: cannot talk to the docker daemon" >&2
  exit 1
fi

mapfile -t containers < <(docker ps -aq)
if ((${#containers[@]} == 0)); then
  echo "No containers"
  exit 0
fi

problems=0

problem() {
  echo "PROBLEM $1: $2"
  problems=$((problems + 1))
}

format='{{.Name}}|{{.State.Status}}|{{.State.ExitCode}}|{{.RestartCount}}|'
format+='{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}|'
format+='{{.HostConfig.RestartPolicy.Name}}'

while IFS='|' read -r name state exit_code restarts health policy; do
  name=${name#/}
  if [[ $state == restarting ]]; then
    problem "$name" "keeps restarting ($restarts times)"
  elif [[ $state != running && $policy =~ ^(always|unless-stopped)$ ]]; then
    problem "$name" "is $state although its restart policy is $policy"
  elif [[ $state == exited && $exit_code != 0 ]]; then
    problem "$name" "ended with code $exit_code"
  elif [[ $health == unhealthy ]]; then
    problem "$name" "fails its health check"
    docker logs --tail 5 "$name" 2>&1 | sed 's/^/    /'
  else
    echo "ok      $name ($state)"
  fi
done < <(docker inspect --format "$format" "${containers[@]}")

echo
docker stats --no-stream --format 'table {{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}'
((problems == 0))
