#!/bin/bash
# Set up a ufw firewall for a web server that allows only SSH, HTTP and HTTPS
set -euo pipefail

ssh_port=${1:-22}

if [[ $EUID -ne 0 ]]; then
  echo "Error: run this script as root" >&2
  exit 1
fi

if ! command -v ufw >/dev/null; then
  echo "Installing ufw ..."
  apt-get update -qq
  apt-get install -y -qq ufw
fi

# Start from a known state: nothing comes in, everything may go out.
ufw --force reset >/dev/null
ufw default deny incoming
ufw default allow outgoing

# Allow SSH before the firewall is switched on, or this session is cut off.
# "limit" blocks an address that opens 6 connections within 30 seconds.
ufw limit "$ssh_port/tcp" comment 'SSH'

declare -A services=([80]=HTTP [443]=HTTPS)
for port in "${!services[@]}"; do
  ufw allow "$port/tcp" comment "${services[$port]}"
done

ufw logging low
ufw --force enable
ufw status verbose
