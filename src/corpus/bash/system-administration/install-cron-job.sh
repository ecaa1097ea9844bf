#!/bin/bash
# Install a cron job that runs a script every night at two
set -euo pipefail

schedule="0 2 * * *"

usage() {
  echo "Usage: $0 [-s 'MIN HOUR DAY MONTH WEEKDAY'] SCRIPT [ARGUMENT...]" >&2
  exit 2
}

while getopts "s:h" option; do
  case $option in
    s) schedule=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
[[ $# -ge 1 ]] || usage

read -ra fields <<<"$schedule"
if ((${#fields[@]} != 5)); then
  echo "Error: a schedule has five fields, got ${#fields[@]}" >&2
  exit 2
fi

script=$(realpath -e -- "$1")
shift
if [[ ! -x $script ]]; then
  echo "Error: $script is not executable" >&2
  exit 1
fi

command=$(printf '%q ' "$script" "$@")
line="$schedule $command# managed: $(basename "$script")"

# Replace an older line for the same script instead of adding a second one.
{
  crontab -l 2>/dev/null | grep -vF "# managed: $(basename "$script")" || true
  echo "$line"
} | crontab -

echo "Installed: $line"
