#!/bin/bash
# Run an Ansible playbook with a syntax check and a dry run first
set -euo pipefail

playbook=${1:-site.yml}
inventory=${2:-inventory/hosts.ini}
limit=${3:-all}

export ANSIBLE_FORCE_COLOR=1
export ANSIBLE_HOST_KEY_CHECKING=True

if ! command -v ansible-playbook >/dev/null; then
  echo "Error: ansible-playbook not found, install it with: pipx install --include-deps ansible" >&2
  exit 1
fi

for file in "$playbook" "$inventory"; do
  if [[ ! -e $file ]]; then
    echo "Usage: $0 [PLAYBOOK] [INVENTORY] [LIMIT]   ($file does not exist)" >&2
    exit 2
  fi
done

options=(-i "$inventory" --limit "$limit")
if [[ -f .vault-password ]]; then
  options+=(--vault-password-file .vault-password)
fi

if [[ -f requirements.yml ]]; then
  ansible-galaxy install -r requirements.yml
fi

ansible-playbook "${options[@]}" --syntax-check "$playbook"

echo "Testing the connection to the hosts ..."
ansible "$limit" -i "$inventory" -m ping --one-line

ansible-playbook "${options[@]}" --check --diff "$playbook"

read -r -p "Apply these changes? [y/N] " answer
if [[ ! $answer =~ ^[yY] ]]; then
  echo "Nothing was changed"
  exit 0
fi

mkdir -p logs
ansible-playbook "${options[@]}" "$playbook" | tee "logs/ansible-$(date +%Y%m%d-%H%M%S).log"
