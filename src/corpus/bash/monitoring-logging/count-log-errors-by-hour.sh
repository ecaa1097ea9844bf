#!/bin/bash
# Count the errors and warnings in a log file for each hour and draw a bar chart
set -euo pipefail

if [[ $# -ne 1 || ! -r ${1:-} ]]; then
  echo "Usage: $0 LOG_FILE   (lines start with YYYY-MM-DD HH:MM:SS)" >&2
  exit 2
fi

awk '
  # Accept a blank or a T between the date and the time.
  match($0, /^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9][ T][0-9][0-9]/) {
    hour = substr($0, 1, 10) " " substr($0, 12, 2) ":00"
    line = toupper($0)
    if (line ~ /ERROR|FATAL|CRITICAL/) errors[hour]++
    else if (line ~ /WARN/) warnings[hour]++
    else next
    hours[hour] = 1
  }
  END {
    for (hour in hours) print hour, errors[hour] + 0, warnings[hour] + 0
  }
' "$1" | sort | awk '
  {
    hour[NR] = $1 " " $2
    errors[NR] = $3
    warnings[NR] = $4
    if ($3 > max) max = $3
  }
  END {
    if (NR == 0) { print "No errors or warnings"; exit }
    printf "%-16s %7s %9s\n", "HOUR", "ERRORS", "WARNINGS"
    for (i = 1; i <= NR; i++) {
      width = max ? int(40 * errors[i] / max) : 0
      bar = sprintf("%*s", width, "")
      gsub(/ /, "#", bar)
      printf "%-16s %7d %9d  %s\n", hour[i], errors[i], warnings[i], bar
    }
  }'
