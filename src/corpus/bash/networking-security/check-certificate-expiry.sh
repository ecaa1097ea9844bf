#!/bin/bash
# Check when the TLS certificates of a list of domains expire and warn when fewer than 30 days are left
set -euo pipefail

warn_days=${WARN_DAYS:-30}

if [[ $# -eq 0 ]]; then
  echo "Usage: $0 DOMAIN[:PORT]..." >&2
  exit 2
fi

# Print the notAfter date of the certificate that the server sends.
expiry_date() {
  local host=$1 port=$2
  timeout 10 openssl s_client -connect "$host:$port" -servername "$host" </dev/null 2>/dev/null |
    openssl x509 -noout -enddate 2>/dev/null |
    cut -d= -f2
}

now=$(date +%s)
status=0

for target in "$@"; do
  host=${target%%:*}
  port=443
  [[ $target == *:* ]] && port=${target##*:}

  end=$(expiry_date "$host" "$port") || true
  if [[ -z $end ]]; then
    echo "ERROR    $host: no certificate on port $port" >&2
    status=1
    continue
  fi

  days=$((($(date -d "$end" +%s) - now) / 86400))
  if ((days < 0)); then
    echo "EXPIRED  $host: expired ${days#-} days ago"
    status=1
  elif ((days < warn_days)); then
    echo "WARNING  $host: expires in $days days ($end)"
    status=1
  else
    echo "OK       $host: expires in $days days"
  fi
done

exit "$status"
