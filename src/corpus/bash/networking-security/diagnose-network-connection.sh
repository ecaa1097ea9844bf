#!/bin/bash
# Diagnose why the network is not working by testing the interface, gateway, DNS and internet in order
set -uo pipefail

target=${1:-example.com}
public_ip=1.1.1.1

pass() { printf '[ OK ] %s\n' "$1"; }

fail() {
  printf '[FAIL] %s\n' "$1"
  printf '       %s\n' "$2"
  exit 1
}

interface=$(ip -4 route show default | awk '{print $5; exit}')
if [[ -z $interface ]]; then
  fail "no default route" "Is the cable plugged in? Try: ip link; systemctl status NetworkManager"
fi
pass "default route through $interface"

address=$(ip -4 -o addr show dev "$interface" | awk '{print $4; exit}')
if [[ -z $address ]]; then
  fail "$interface has no IPv4 address" "Ask for one with: dhclient $interface"
fi
pass "$interface has address $address"

gateway=$(ip -4 route show default | awk '{print $3; exit}')
if ! ping -c 2 -W 2 "$gateway" &>/dev/null; then
  fail "gateway $gateway does not answer" "Check the router or the wireless link"
fi
pass "gateway $gateway answers"

if ! ping -c 2 -W 3 "$public_ip" &>/dev/null; then
  fail "cannot reach $public_ip" "The local network works, the provider does not"
fi
pass "internet reachable at $public_ip"

if ! getent hosts "$target" >/dev/null; then
  fail "cannot resolve $target" "Check the nameserver lines in /etc/resolv.conf"
fi
pass "DNS resolves $target"

if ! curl -fsS -o /dev/null --max-time 10 "https://$target"; then
  fail "HTTPS to $target fails" "A proxy or a firewall may block port 443"
fi
pass "HTTPS to $target works"
