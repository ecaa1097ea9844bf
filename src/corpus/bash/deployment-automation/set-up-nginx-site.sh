#!/bin/bash
# Set up an nginx reverse proxy for a domain with a free TLS certificate
set -euo pipefail

domain=${1:-}
port=${2:-}
email=${3:-}

if [[ -z $domain || ! $port =~ ^[0-9]+$ || $email != *@* ]]; then
  echo "Usage: $0 DOMAIN APP_PORT EMAIL" >&2
  exit 2
fi

if [[ $EUID -ne 0 ]]; then
  echo "Error: run this script as root" >&2
  exit 1
fi

apt-get update -qq
apt-get install -y -qq nginx certbot python3-certbot-nginx

available=/etc/nginx/sites-available/$domain
enabled=/etc/nginx/sites-enabled/$domain

# The variables of nginx are escaped, those of the shell are not.
cat >"$available" <<EOF
server {
  listen 80;
  listen [::]:80;
  server_name $domain;

  location / {
    proxy_pass http://127.0.0.1:$port;
    proxy_http_version 1.1;
    proxy_set_header Host \$host;
    proxy_set_header X-Real-IP \$remote_addr;
    proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto \$scheme;
  }
}
EOF

ln -sfn "$available" "$enabled"

if ! nginx -t; then
  rm -f "$enabled"
  echo "Error: nginx rejects the site, it was switched off again" >&2
  exit 1
fi
systemctl reload nginx

certbot --nginx -d "$domain" -m "$email" --agree-tos --non-interactive --redirect
curl -fsSI "https://$domain" | sed -n 1p
