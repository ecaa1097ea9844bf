#!/bin/bash
# Copy the production database to staging and anonymize the users
set -euo pipefail

: "${PRODUCTION_URL:?Set PRODUCTION_URL to the database to read}"
: "${STAGING_URL:?Set STAGING_URL to the database to overwrite}"

if [[ $STAGING_URL == "$PRODUCTION_URL" || $STAGING_URL == *prod* ]]; then
  echo "Error: STAGING_URL looks like production" >&2
  exit 1
fi

dump=$(mktemp)
trap 'rm -f "$dump"' EXIT

echo "Dumping production"
pg_dump "$PRODUCTION_URL" --format=custom --no-owner --no-privileges \
  --exclude-table-data='audit_*' \
  --exclude-table-data=sessions \
  --file="$dump"

echo "Restoring into staging"
pg_restore --dbname="$STAGING_URL" --clean --if-exists \
  --no-owner --no-privileges --single-transaction "$dump"

echo "Removing personal data"
psql "$STAGING_URL" -qX -v ON_ERROR_STOP=1 --single-transaction <<'SQL'
UPDATE users SET
  email = 'user' || id || '@example.com',
  name = 'User ' || id,
  phone = NULL;
SQL

left=$(
  psql "$STAGING_URL" -AtX \
    -c "SELECT count(*) FROM users WHERE email NOT LIKE '%@example.com'"
)
if ((left > 0)); then
  echo "Error: $left real addresses are left in staging" >&2
  exit 1
fi
echo "Staging is up to date"
