#!/bin/bash
# Set up a Python virtual environment for a project and install its requirements
set -euo pipefail

project=${1:-.}
python=${PYTHON:-python3}
minimum=3.9

cd "$project"

if ! command -v "$python" >/dev/null; then
  echo "Error: $python not found" >&2
  exit 1
fi

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# sort -V compares 3.9 and 3.10 as versions, not as numbers.
oldest=$(printf '%s\n' "$minimum" "$version" | sort -V | sed -n 1p)
if [[ $oldest != "$minimum" ]]; then
  echo "Error: Python $version is too old, $minimum is needed" >&2
  exit 1
fi

if [[ ! -x .venv/bin/python ]]; then
  echo "Creating .venv with Python $version"
  "$python" -m venv .venv
fi

# Install only when the requirements have changed since the last run.
stamp=.venv/requirements.sha256
if [[ -f requirements.txt ]]; then
  if sha256sum --check --status "$stamp" 2>/dev/null; then
    echo "The requirements are installed already"
  else
    .venv/bin/python -m pip install --quiet --upgrade pip
    .venv/bin/python -m pip install -r requirements.txt
    sha256sum requirements.txt >"$stamp"
  fi
fi

if [[ -f .env.example && ! -f .env ]]; then
  cp .env.example .env
  chmod 600 .env
  echo "Created .env from .env.example, fill in the values"
fi

echo "Ready. Activate it with: source $PWD/.venv/bin/activate"
