#!/bin/bash
# Roll back to the previous release by switching the current symlink back
set -euo pipefail

app_dir=$(realpath -m "${1:-/var/www/app}")
wanted=${2:-}
current_link=$app_dir/current

if [[ ! -L $current_link ]]; then
  echo "Usage: $0 [APP_DIR] [RELEASE]   ($current_link is not a symlink)" >&2
  exit 2
fi

current=$(basename "$(readlink -f "$current_link")")
mapfile -t releases < <(find "$app_dir/releases" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort)

# Without a name take the release just before the current one.
if [[ -z $wanted ]]; then
  for name in "${releases[@]}"; do
    if [[ $name == "$current" ]]; then
      break
    fi
    wanted=$name
  done
fi

if [[ -z $wanted ]]; then
  echo "Error: there is no release before $current" >&2
  exit 1
fi

if [[ ! -d $app_dir/releases/$wanted ]]; then
  echo "Error: no release $wanted, there are:" >&2
  printf '  %s\n' "${releases[@]}" >&2
  exit 1
fi

if [[ -t 0 ]]; then
  read -r -p "Roll back from $current to $wanted? [y/N] " answer
  [[ $answer == [yY]* ]] || exit 1
fi

ln -s "$app_dir/releases/$wanted" "$current_link.new"
mv -T "$current_link.new" "$current_link"
echo "$(date '+%F %T') $current -> $wanted" >>"$app_dir/rollback.log"
echo "Rolled back to $wanted"
