#!/bin/bash
# Write an nftables firewall configuration, check its syntax and load it
set -euo pipefail

config=/etc/nftables.conf
candidate=$(mktemp)
trap 'rm -f "$candidate"' EXIT

if [[ $EUID -ne 0 ]]; then
  echo "Error: run this script as root" >&2
  exit 1
fi

cat >"$candidate" <<'EOF'
#!/usr/sbin/nft -f
flush ruleset

table inet filter {
  chain input {
    type filter hook input priority 0; policy drop;
    iif "lo" accept
    ct state established,related accept
    ct state invalid drop
    ip protocol icmp limit rate 10/second accept
    meta l4proto ipv6-icmp accept
    tcp dport { 22, 80, 443 } accept
    limit rate 5/minute log prefix "nft drop: "
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
  }
  chain output {
    type filter hook output priority 0; policy accept;
  }
}
EOF

# -c parses the file without touching the running rules.
if ! nft -c -f "$candidate"; then
  echo "Error: the rules are not valid, nothing was changed" >&2
  exit 1
fi

if [[ -f $config ]]; then
  cp -p "$config" "$config.$(date +%Y%m%d%H%M%S).bak"
fi

install -m 0755 "$candidate" "$config"
nft -f "$config"
systemctl enable nftables.service
nft list chain inet filter input
