#!/bin/bash
# Remove old kernel packages and keep the running kernel and the newest one
set -euo pipefail

dry_run=false
[[ ${1:-} == --dry-run ]] && dry_run=true

command -v dpkg-query >/dev/null || {
  echo "Error: this script is for Debian and Ubuntu" >&2
  exit 1
}

running=$(uname -r)

mapfile -t kernels < <(
  dpkg-query -W -f='${Status}\t${Package}\n' 'linux-image-[0-9]*' |
    awk -F'\t' '$1 == "install ok installed" { print $2 }' |
    sort -V
)

if ((${#kernels[@]} == 0)); then
  echo "No kernel packages found"
  exit 0
fi

newest=${kernels[${#kernels[@]} - 1]}
remove=()
for package in "${kernels[@]}"; do
  if [[ $package == "$newest" || $package == *"$running"* ]]; then
    echo "Keep   $package"
  else
    echo "Remove $package"
    remove+=("$package")
  fi
done

if ((${#remove[@]} == 0)); then
  echo "Nothing to remove"
elif [[ $dry_run == false ]]; then
  apt-get purge -y "${remove[@]}"
  apt-get autoremove --purge -y
fi
