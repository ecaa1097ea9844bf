#!/bin/bash
# Check that a server has the tools, disk space, environment variables and ports needed for a deployment
set -euo pipefail

required_tools=(git curl tar rsync)
required_variables=(APP_ENV DATABASE_URL)
required_ports=(8080)
required_free_mib=1024
app_dir=${1:-/opt}

errors=()

for tool in "${required_tools[@]}"; do
  command -v "$tool" >/dev/null || errors+=("tool $tool is not installed")
done

for variable in "${required_variables[@]}"; do
  if [[ -z ${!variable:-} ]]; then
    errors+=("variable $variable is not set")
  fi
done

for port in "${required_ports[@]}"; do
  if [[ -n $(ss -Hltn "sport = :$port") ]]; then
    errors+=("port $port is in use")
  fi
done

if [[ ! -d $app_dir ]]; then
  errors+=("directory $app_dir does not exist")
else
  if [[ ! -w $app_dir ]]; then
    errors+=("directory $app_dir is not writable for $(id -un)")
  fi
  free_mib=$(($(df -k --output=avail "$app_dir" | tail -n 1) / 1024))
  if ((free_mib < required_free_mib)); then
    errors+=("$free_mib MiB free on $app_dir, $required_free_mib MiB needed")
  fi
fi

if ((${#errors[@]} > 0)); then
  echo "The server is not ready:" >&2
  printf '  - %s\n' "${errors[@]}" >&2
  exit 1
fi

echo "The server is ready for the deployment"
