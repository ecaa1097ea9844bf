#!/bin/bash
# List all failed systemd services and show why each one failed
set -euo pipefail

lines=${1:-5}

if ! command -v systemctl >/dev/null; then
  echo "Error: this system does not use systemd" >&2
  exit 2
fi

units=$(systemctl list-units --type=service --state=failed --no-legend --plain)

if [[ -z $units ]]; then
  echo "No failed services"
  exit 0
fi

mapfile -t failed < <(awk '{ print $1 }' <<<"$units")
echo "${#failed[@]} failed services on $(hostname):"
for unit in "${failed[@]}"; do
  result=$(systemctl show --property=Result --value "$unit")
  code=$(systemctl show --property=ExecMainStatus --value "$unit")
  since=$(systemctl show --property=InactiveEnterTimestamp --value "$unit")

  echo
  echo "$unit"
  echo "  reason: $result (exit status $code)"
  echo "  since:  ${since:-unknown}"
  journalctl --unit "$unit" --lines "$lines" --no-pager --output=cat |
    sed 's/^/  | /'
done

exit 1
