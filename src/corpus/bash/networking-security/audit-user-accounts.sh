#!/bin/bash
# Audit the local user accounts for extra root users, empty passwords and sudo rights
set -euo pipefail

if [[ $EUID -ne 0 ]]; then
  echo "Error: reading /etc/shadow needs root" >&2
  exit 1
fi

warnings=0

warn() {
  echo "WARNING: $*"
  warnings=$((warnings + 1))
}

while IFS=: read -r user _ uid _ _ home shell; do
  if ((uid == 0)) && [[ $user != root ]]; then
    warn "$user has uid 0, the same as root"
  fi
  # People have a uid of 1000 and up and a shell that lets them in.
  if ((uid >= 1000)) && [[ $shell != */nologin && $shell != */false ]]; then
    if [[ -d $home ]]; then
      echo "Login user: $user (uid $uid, $shell)"
    else
      warn "$user may log in but has no home directory $home"
    fi
  fi
done </etc/passwd

while IFS=: read -r user hash _; do
  if [[ -z $hash ]]; then
    warn "$user has an empty password"
  fi
done </etc/shadow

for group in sudo wheel docker; do
  members=$(getent group "$group" | cut -d: -f4) || continue
  if [[ -n $members ]]; then
    echo "Members of $group: $members"
  fi
done

if grep -rhsE '^[^#]*NOPASSWD' /etc/sudoers /etc/sudoers.d; then
  warn "the lines above give sudo without a password"
fi

echo "$warnings warnings"
[[ $warnings -eq 0 ]]
