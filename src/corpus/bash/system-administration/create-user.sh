#!/bin/bash
# Create a new user with a home directory, sudo rights and an SSH key
set -euo pipefail

sudo_group=""
shell=/bin/bash

usage() {
  cat >&2 <<EOF
Usage: $0 [-s] [-S SHELL] USERNAME PUBLIC_KEY_FILE
  -s        let the user run sudo
  -S SHELL  login shell (default: $shell)
EOF
  exit 2
}

while getopts ":sS:" option; do
  case $option in
    s) sudo_group=sudo ;;
    S) shell=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
[[ $# -eq 2 ]] || usage
username=$1
key_file=$2

if ((EUID != 0)); then
  echo "Error: run this script as root" >&2
  exit 1
fi
if id -u "$username" >/dev/null 2>&1; then
  echo "Error: user $username already exists" >&2
  exit 1
fi
ssh-keygen -l -f "$key_file" >/dev/null || exit 1

useradd --create-home --shell "$shell" "$username"
if [[ -n $sudo_group ]]; then
  usermod -aG "$sudo_group" "$username"
fi

home=$(getent passwd "$username" | cut -d: -f6)
install -d -m 700 -o "$username" -g "$(id -gn "$username")" "$home/.ssh"
install -m 600 -o "$username" -g "$username" "$key_file" "$home/.ssh/authorized_keys"

echo "Created user $username with home $home"
