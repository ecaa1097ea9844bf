#!/bin/bash
# Apply iptables rules that drop all incoming traffic except SSH and web, and undo them if I lose the connection
set -euo pipefail

allowed_ports=(22 80 443)
confirm_seconds=30

if [[ $EUID -ne 0 ]]; then
  echo "Error: iptables needs root" >&2
  exit 1
fi

backup=$(mktemp)
iptables-save >"$backup"

restore() {
  echo "Restoring the previous rules" >&2
  iptables-restore <"$backup"
}
trap 'rm -f "$backup"' EXIT
trap 'restore; exit 1' ERR INT TERM HUP

iptables -P INPUT ACCEPT
iptables -F INPUT
iptables -A INPUT -i lo -j ACCEPT
iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
iptables -A INPUT -m conntrack --ctstate INVALID -j DROP
iptables -A INPUT -p icmp --icmp-type echo-request -m limit --limit 5/second -j ACCEPT

for port in "${allowed_ports[@]}"; do
  iptables -A INPUT -p tcp --dport "$port" -m conntrack --ctstate NEW -j ACCEPT
done

iptables -P INPUT DROP
iptables -P FORWARD DROP
iptables -P OUTPUT ACCEPT

# Without an answer the old rules come back.
if read -r -t "$confirm_seconds" -p "Keep the new rules? Type yes: " answer && [[ $answer == yes ]]; then
  mkdir -p /etc/iptables
  iptables-save >/etc/iptables/rules.v4
  echo "Rules saved to /etc/iptables/rules.v4"
else
  restore
  exit 1
fi
