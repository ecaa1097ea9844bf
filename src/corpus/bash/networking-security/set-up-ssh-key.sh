#!/bin/bash
# Create an SSH key if there is none and copy it to a server for login without a password
set -euo pipefail

if [[ $# -lt 1 || $# -gt 2 ]]; then
  echo "Usage: $0 USER@HOST [PORT]" >&2
  exit 2
fi

target=$1
port=${2:-22}
key=$HOME/.ssh/id_ed25519

mkdir -p "$HOME/.ssh"
chmod 700 "$HOME/.ssh"

if [[ -f $key ]]; then
  echo "Using the existing key $key"
else
  echo "Creating a new key $key"
  ssh-keygen -t ed25519 -f "$key" -C "$(whoami)@$(hostname)"
fi

login_works() {
  ssh -p "$port" -i "$key" -o BatchMode=yes -o ConnectTimeout=10 "$target" true 2>/dev/null
}

if login_works; then
  echo "$target already accepts the key"
  exit 0
fi

# This asks for the password of the server one last time.
ssh-copy-id -i "$key.pub" -p "$port" "$target"

if login_works; then
  echo "Done. Log in with: ssh -p $port $target"
else
  echo "Error: $target still does not accept the key" >&2
  exit 1
fi
