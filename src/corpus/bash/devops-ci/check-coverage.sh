#!/bin/bash
# Fail the build if the test coverage in an lcov file is below 80 percent
set -euo pipefail

report=coverage/lcov.info
minimum=80

usage() {
  echo "Usage: ${0##*/} [-r LCOV_FILE] [-m MINIMUM_PERCENT]"
}

while getopts "r:m:h" option; do
  case $option in
    r) report=$OPTARG ;;
    m) minimum=$OPTARG ;;
    h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

if [[ ! -s $report ]]; then
  echo "Error: no coverage report at $report" >&2
  exit 2
fi

# LF is the number of lines of a file, LH the number of lines hit.
awk -F: -v minimum="$minimum" '
  $1 == "SF" { file = $2 }
  $1 == "LF" { lines[file] += $2; total += $2 }
  $1 == "LH" { hit[file] += $2; total_hit += $2 }
  END {
    if (total == 0) {
      print "Error: the report has no lines"
      exit 2
    }
    for (file in lines) {
      if (lines[file] == 0) continue
      percent = 100 * hit[file] / lines[file]
      if (percent < minimum) printf "%6.1f%%  %s\n", percent, file
    }
    percent = 100 * total_hit / total
    printf "%6.1f%%  total, at least %s%% needed\n", percent, minimum
    exit (percent < minimum)
  }
' "$report"
