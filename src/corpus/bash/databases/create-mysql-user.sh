#!/bin/bash
# Create a MySQL user and grant it access to one database
set -euo pipefail

host=localhost
privileges="SELECT, INSERT, UPDATE, DELETE"

usage() {
  cat >&2 <<EOF
Usage: $0 [-H HOST] [-r | -a] DATABASE USER
  -H HOST  where the user may connect from (default $host)
  -r       read only
  -a       all privileges
EOF
  exit 2
}

while getopts "H:ra" option; do
  case $option in
    H) host=$OPTARG ;;
    r) privileges="SELECT" ;;
    a) privileges="ALL PRIVILEGES" ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
[[ $# -eq 2 ]] || usage
database=$1
user=$2

name_pattern='^[A-Za-z0-9_]{1,32}$'
if [[ ! $database =~ $name_pattern || ! $user =~ $name_pattern ]]; then
  echo "Error: use only letters, digits and underscores in names" >&2
  exit 2
fi
if [[ ! $host =~ ^[A-Za-z0-9.:%_-]+$ ]]; then
  echo "Error: invalid host '$host'" >&2
  exit 2
fi

read -r -s -p "Password for $user: " password
echo >&2
if ((${#password} < 12)) || [[ $password == *[\'\\]* ]]; then
  echo "Error: use 12 characters or more, no quote and no backslash" >&2
  exit 1
fi

mysql <<SQL
CREATE USER '$user'@'$host' IDENTIFIED BY '$password';
GRANT $privileges ON \`$database\`.* TO '$user'@'$host';
SHOW GRANTS FOR '$user'@'$host';
SQL
