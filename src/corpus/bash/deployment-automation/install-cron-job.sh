#!/bin/bash
# Install a cron job that runs a script every night at 2 am without adding it twice
set -euo pipefail

script=${1:-}
schedule=${2:-"0 2 * * *"}
log=${3:-$HOME/cron.log}

if [[ -z $script ]]; then
  echo "Usage: $0 SCRIPT [SCHEDULE] [LOG_FILE]" >&2
  echo "Example: $0 ./backup.sh '*/15 * * * *'" >&2
  exit 2
fi

# cron starts in the home directory, so the path must be absolute.
script=$(realpath "$script")
if [[ ! -x $script ]]; then
  echo "Error: $script is not executable" >&2
  exit 1
fi

read -r -a fields <<<"$schedule"
if ((${#fields[@]} != 5)); then
  echo "Error: a schedule has 5 fields, '$schedule' has ${#fields[@]}" >&2
  exit 2
fi

# flock on the script itself keeps a slow run and the next one apart.
entry="$schedule /usr/bin/flock -n $script $script >>$log 2>&1"

# crontab -l fails for a user without any jobs.
current=$(crontab -l 2>/dev/null || true)

if grep -qxF "$entry" <<<"$current"; then
  echo "The job is installed already"
  exit 0
fi

# Drop an older line of the same script, then add the new one.
{
  grep -vF " $script " <<<"$current" || true
  echo "$entry"
} | sed '/^$/d' | crontab -

echo "Installed: $entry"
