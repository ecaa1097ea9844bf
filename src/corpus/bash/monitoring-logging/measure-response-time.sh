#!/bin/bash
# Measure the response time of a URL over several requests and print the average and percentiles
set -euo pipefail

url=${1:-}
requests=${2:-20}

if [[ -z $url ]] || ! [[ $requests =~ ^[1-9][0-9]*$ ]]; then
  echo "Usage: $0 URL [REQUESTS]" >&2
  exit 2
fi

times=$(mktemp)
trap 'rm -f "$times"' EXIT
failures=0

for ((i = 1; i <= requests; i++)); do
  # -w prints seconds with six digits after the point.
  if time=$(curl -fsS -o /dev/null --max-time 30 -w '%{time_total}' "$url"); then
    echo "$time" >>"$times"
  else
    failures=$((failures + 1))
  fi
done

if [[ ! -s $times ]]; then
  echo "Error: all $requests requests to $url failed" >&2
  exit 1
fi

sort -n "$times" | awk -v failures="$failures" '
  { t[NR] = $1 * 1000; sum += t[NR] }
  function percentile(p,    k) {
    k = int(NR * p / 100 + 0.999)
    return t[k < 1 ? 1 : k]
  }
  END {
    printf "requests  %d ok, %d failed\n", NR, failures
    printf "min       %.1f ms\n", t[1]
    printf "average   %.1f ms\n", sum / NR
    printf "median    %.1f ms\n", percentile(50)
    printf "p95       %.1f ms\n", percentile(95)
    printf "max       %.1f ms\n", t[NR]
  }'
