#!/bin/bash
# Back up a MongoDB database with mongodump and copy the archive to S3
set -euo pipefail

: "${MONGO_URI:?Set MONGO_URI, e.g. mongodb://localhost:27017}"
: "${S3_BUCKET:?Set S3_BUCKET to the bucket of the backups}"

database=${1:?Usage: $0 DATABASE}
stamp=$(date -u +%Y%m%dT%H%M%SZ)

log() {
  printf '%s %s\n' "$(date '+%F %T')" "$*" >&2
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
archive=$work/$database-$stamp.archive.gz

# A configuration file keeps the password out of the list of processes.
config=$work/mongodump.yml
(umask 077 && printf 'uri: "%s"\n' "$MONGO_URI" >"$config")

log "Dumping $database"
mongodump --config="$config" --db="$database" \
  --gzip --archive="$archive" --quiet

if [[ $(stat -c %s "$archive") -lt 200 ]]; then
  log "Error: the archive is nearly empty, does $database exist?"
  exit 1
fi

log "Uploading $(du -h "$archive" | cut -f1)"
key=mongodb/$database/$(basename "$archive")
aws s3 cp --only-show-errors --storage-class STANDARD_IA \
  "$archive" "s3://$S3_BUCKET/$key"

remote_size=$(
  aws s3api head-object --bucket "$S3_BUCKET" --key "$key" \
    --query ContentLength --output text
)
if [[ $remote_size != "$(stat -c %s "$archive")" ]]; then
  log "Error: the uploaded file has the wrong size"
  exit 1
fi
log "Saved s3://$S3_BUCKET/$key"
