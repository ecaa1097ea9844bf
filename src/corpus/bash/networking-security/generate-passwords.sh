#!/bin/bash
# Generate strong random passwords of a given length
set -euo pipefail

length=20
count=1
symbols=true

while getopts "l:c:n" option; do
  case $option in
    l) length=$OPTARG ;;
    c) count=$OPTARG ;;
    n) symbols=false ;;
    *)
      echo "Usage: $0 [-l LENGTH] [-c COUNT] [-n]   (-n: no symbols)" >&2
      exit 2
      ;;
  esac
done

if ! [[ $length =~ ^[0-9]+$ && $count =~ ^[0-9]+$ ]] || ((length < 8)); then
  echo "Error: the length must be at least 8 and the count a number" >&2
  exit 2
fi

# Leave out characters that look alike: 0 O 1 l I.
alphabet='A-HJ-NP-Za-km-z2-9'
if "$symbols"; then
  alphabet+='!@#%^*_+='
fi

password() {
  local text=""
  # tr drops most bytes, so read until there are enough.
  while ((${#text} < length)); do
    text+=$(head -c 256 /dev/urandom | LC_ALL=C tr -dc "$alphabet")
  done
  printf '%s\n' "${text:0:length}"
}

# Ask for at least one digit and one letter of each case.
for ((i = 0; i < count; i++)); do
  until candidate=$(password) &&
    [[ $candidate == *[2-9]* && $candidate == *[[:upper:]]* && $candidate == *[[:lower:]]* ]]; do
    :
  done
  echo "$candidate"
done
