#!/bin/bash
# Generate a self-signed TLS certificate for a domain with subject alternative names
set -euo pipefail

usage() {
  cat >&2 <<EOF
Usage: $(basename "$0") [-d DAYS] [-o DIR] DOMAIN [ALTERNATIVE_NAME...]
  -d DAYS  days until the certificate expires (default 365)
  -o DIR   directory for the key and the certificate (default .)
EOF
  exit 2
}

days=365
output=.
while getopts "d:o:h" option; do
  case $option in
    d) days=$OPTARG ;;
    o) output=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
[[ $# -ge 1 ]] || usage

domain=$1
key=$output/$domain.key
cert=$output/$domain.crt

if [[ -e $key ]]; then
  echo "Error: $key exists, will not overwrite it" >&2
  exit 1
fi

# IP addresses and host names need different prefixes.
names=()
for name in "$@"; do
  if [[ $name =~ ^[0-9]+(\.[0-9]+){3}$ ]]; then
    names+=("IP:$name")
  else
    names+=("DNS:$name")
  fi
done
san=$(IFS=,; echo "${names[*]}")

mkdir -p "$output"
umask 077
openssl req -x509 -newkey rsa:2048 -sha256 -nodes -days "$days" \
  -subj "/CN=$domain" -addext "subjectAltName=$san" \
  -keyout "$key" -out "$cert" 2>/dev/null
chmod 644 "$cert"

echo "Key:         $key"
echo "Certificate: $cert"
openssl x509 -in "$cert" -noout -enddate -ext subjectAltName
