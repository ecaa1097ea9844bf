#!/bin/bash
# Create many users from a CSV file of user name, full name and groups
set -euo pipefail

csv=${1:-}
if [[ ! -r $csv ]]; then
  echo "Usage: $0 USERS.csv" >&2
  echo "Each line: username,Full Name,group1;group2" >&2
  exit 2
fi
if ((EUID != 0)); then
  echo "Error: root is needed to create users" >&2
  exit 1
fi

created=0
skipped=0
line_number=0

while IFS=, read -r username full_name groups || [[ -n $username ]]; do
  line_number=$((line_number + 1))
  [[ -z $username || $username == \#* ]] && continue

  if [[ ! $username =~ ^[a-z_][a-z0-9_-]{0,31}$ ]]; then
    echo "Line $line_number: '$username' is not a valid user name" >&2
    skipped=$((skipped + 1))
    continue
  fi
  if id "$username" >/dev/null 2>&1; then
    echo "Line $line_number: $username already exists" >&2
    skipped=$((skipped + 1))
    continue
  fi

  IFS=';' read -ra group_list <<<"${groups%$'\r'}"
  useradd --create-home --shell /bin/bash --comment "$full_name" "$username"
  for group in "${group_list[@]}"; do
    groupadd --force "$group"
    usermod --append --groups "$group" "$username"
  done
  # The user has to choose a password at the first login.
  password=$(openssl rand -base64 12)
  chpasswd <<<"$username:$password"
  chage --lastday 0 "$username"
  echo "$username,$password"
  created=$((created + 1))
done <"$csv"

echo "Created $created users, skipped $skipped" >&2
