#!/bin/bash
# Check a list of websites and log which are down with HTTP status and response time
set -euo pipefail

list=${1:-sites.txt}
log=${2:-uptime.log}

if [[ ! -r $list ]]; then
  echo "Usage: $0 [URL_LIST] [LOG_FILE]   (one URL on each line)" >&2
  exit 2
fi

down=0

check() {
  local url=$1 code seconds result
  # On a network error curl still prints code 000 and the time it took.
  result=$(curl -sSL -o /dev/null --max-time 15 --retry 1 \
    -w '%{http_code} %{time_total}' "$url" 2>/dev/null) || true
  read -r code seconds <<<"${result:-000 0}"

  if ((10#$code >= 200 && 10#$code < 400)); then
    echo "UP   $code ${seconds}s $url"
  else
    echo "DOWN $code ${seconds}s $url"
    return 1
  fi
}

while read -r url; do
  [[ -z $url || $url == \#* ]] && continue
  if line=$(check "$url"); then
    :
  else
    down=$((down + 1))
  fi
  echo "$(date '+%F %T') $line" | tee -a "$log"
done <"$list"

if ((down > 0)); then
  echo "$down sites are down" >&2
  exit 1
fi
