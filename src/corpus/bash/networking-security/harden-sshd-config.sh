#!/bin/bash
# Harden the SSH server by disabling root login and passwords, and check the configuration before reloading it
set -euo pipefail

dropin=/etc/ssh/sshd_config.d/10-hardening.conf

if [[ $EUID -ne 0 ]]; then
  echo "Error: run this script as root" >&2
  exit 1
fi

# Without a key for some user other than root, everyone would be locked out.
keys=$(find /home -maxdepth 3 -path '*/.ssh/authorized_keys' -size +0)
if [[ -z $keys ]]; then
  echo "Error: no user has an authorized key yet, add one first" >&2
  exit 1
fi

previous=""
if [[ -f $dropin ]]; then
  previous=$(mktemp)
  cp -p "$dropin" "$previous"
fi

mkdir -p "$(dirname "$dropin")"
cat >"$dropin" <<'EOF'
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
X11Forwarding no
MaxAuthTries 3
LoginGraceTime 30
ClientAliveInterval 300
ClientAliveCountMax 2
EOF
chmod 644 "$dropin"

if ! sshd -t; then
  echo "Error: sshd rejects the new settings, putting the old ones back" >&2
  if [[ -n $previous ]]; then
    mv "$previous" "$dropin"
  else
    rm -f "$dropin"
  fi
  exit 1
fi

[[ -z $previous ]] || rm -f "$previous"
systemctl reload ssh 2>/dev/null || systemctl reload sshd
echo "Settings in force:"
sshd -T | grep -E '^(permitrootlogin|passwordauthentication|maxauthtries) '
