#!/bin/bash
# Create a PostgreSQL database with its own user and a random password
set -euo pipefail

if [[ $# -lt 1 || $# -gt 2 ]]; then
  echo "Usage: $0 DATABASE [USER]" >&2
  exit 2
fi
database=$1
user=${2:-$1}

for name in "$database" "$user"; do
  if [[ ! $name =~ ^[a-z_][a-z0-9_]{0,62}$ ]]; then
    echo "Error: '$name' is not a plain lower-case name" >&2
    exit 2
  fi
done

password=$(openssl rand -base64 24 | tr -d '/+=')

# psql quotes the variables: :"x" as a name, :'x' as a string.
sudo -u postgres psql -qX -v ON_ERROR_STOP=1 \
  -v database="$database" -v user="$user" <<SQL
\set password '$password'
CREATE ROLE :"user" LOGIN PASSWORD :'password';
CREATE DATABASE :"database" OWNER :"user" ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
\connect :"database"
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO :"user";
SQL

pgpass=$HOME/.pgpass
touch "$pgpass"
chmod 600 "$pgpass"
echo "localhost:5432:$database:$user:$password" >>"$pgpass"

echo "Created database $database, the password of $user is in $pgpass"
echo "Connect with: psql -h localhost -U $user $database"
