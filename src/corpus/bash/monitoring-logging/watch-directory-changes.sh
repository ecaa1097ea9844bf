#!/bin/bash
# Watch a directory for created, modified and deleted files and log every change
set -euo pipefail

directory=${1:-.}
log=${2:-changes.log}
interval=5

if [[ ! -d $directory ]]; then
  echo "Usage: $0 [DIRECTORY] [LOG_FILE]" >&2
  exit 2
fi

log=$(realpath "$log")

record() {
  printf '%(%F %T)T %s\n' -1 "$*" | tee -a "$log"
}

# inotify tells about changes at once; without it, compare snapshots.
if command -v inotifywait >/dev/null; then
  inotifywait -m -r -q -e create,close_write,delete,move \
    --format '%e %w%f' "$directory" |
    while read -r event path; do
      [[ $path -ef $log ]] || record "$event $path"
    done
  exit
fi

snapshot() {
  find "$directory" -type f ! -samefile "$log" -printf '%p\t%T@ %s\n' | sort
}

old=$(mktemp)
new=$(mktemp)
trap 'rm -f "$old" "$new"' EXIT
touch "$log"
snapshot >"$old"

while sleep "$interval"; do
  snapshot >"$new"
  while IFS= read -r change; do
    record "$change"
  done < <(awk -F '\t' '
    NR == FNR { before[$1] = $2; next }
    !($1 in before) { print "CREATE " $1; next }
    before[$1] != $2 { print "MODIFY " $1 }
    { delete before[$1] }
    END { for (path in before) print "DELETE " path }' "$old" "$new")
  cp "$new" "$old"
done
