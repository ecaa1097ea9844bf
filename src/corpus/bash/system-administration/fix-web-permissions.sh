#!/bin/bash
# Fix the owner and the permissions of all files in a web directory
set -euo pipefail

owner=www-data
group=www-data
dir=""

for argument in "$@"; do
  case $argument in
    --owner=*) owner=${argument#*=} ;;
    --group=*) group=${argument#*=} ;;
    -*) echo "Unknown option: $argument" >&2; exit 2 ;;
    *) dir=$argument ;;
  esac
done

if [[ -z $dir ]]; then
  echo "Usage: $0 [--owner=USER] [--group=GROUP] DIRECTORY" >&2
  exit 2
fi

dir=$(realpath -e -- "$dir")
case $dir in
  / | /bin | /boot | /etc | /home | /lib | /usr | /var)
    echo "Error: refusing to change the permissions of $dir" >&2
    exit 1
    ;;
esac

echo "Setting $owner:$group on $dir"
chown --recursive --no-dereference "$owner:$group" "$dir"

# Directories need the x bit to be entered, files do not.
find "$dir" -type d ! -perm 755 -exec chmod 755 {} +
find "$dir" -type f ! -perm 644 ! -name '*.sh' -exec chmod 644 {} +
find "$dir" -type f -name '*.sh' -exec chmod 755 {} +
find "$dir" -type f \( -name '.env' -o -name '*.key' \) -exec chmod 600 {} +
