#!/bin/bash
# Deploy a new version to a group of servers one after the other and stop at the first failure
set -euo pipefail

version=${1:-}
host_file=${2:-hosts.txt}
health_port=8080

if [[ -z $version || ! -r $host_file ]]; then
  echo "Usage: $0 VERSION [HOST_FILE]" >&2
  exit 2
fi

mapfile -t hosts < <(grep -vE '^[[:space:]]*(#|$)' "$host_file")
done_hosts=()

healthy() {
  curl -fsS -o /dev/null --max-time 5 \
    --retry 10 --retry-delay 3 --retry-connrefused "http://$1:$health_port/health"
}

update() {
  # BatchMode makes ssh fail instead of asking for a password.
  ssh -o BatchMode=yes -o ConnectTimeout=10 "$1" \
    "sudo /usr/local/bin/install-app $(printf '%q' "$version") && sudo systemctl restart app"
}

for host in "${hosts[@]}"; do
  echo "[$((${#done_hosts[@]} + 1))/${#hosts[@]}] $host: installing $version"
  if update "$host" && healthy "$host"; then
    echo "$host: healthy"
    done_hosts+=("$host")
    continue
  fi

  {
    echo "Error: $host failed, the deployment stops here"
    echo "On $version: ${done_hosts[*]:-none}"
    echo "Not touched: ${hosts[*]:$((${#done_hosts[@]} + 1))}"
  } >&2
  exit 1
done

echo "All ${#hosts[@]} hosts run $version"
