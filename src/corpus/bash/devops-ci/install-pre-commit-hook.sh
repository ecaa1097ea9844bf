#!/bin/bash
# Install a git pre-commit hook that runs the linter on the staged files
set -euo pipefail

if ! hooks=$(git rev-parse --git-path hooks 2>/dev/null); then
  echo "Error: run this inside a git repository" >&2
  exit 1
fi

mkdir -p "$hooks"
hook=$hooks/pre-commit

if [[ -e $hook ]]; then
  backup=$hook.$(date +%Y%m%d%H%M%S)
  mv "$hook" "$backup"
  echo "Kept the old hook as $backup"
fi

cat >"$hook" <<'EOF'
#!/bin/bash
set -euo pipefail

mapfile -d '' -t staged < <(git diff --cached --name-only --diff-filter=ACM -z)

# Whitespace errors and conflict markers.
git diff --cached --check

status=0
for file in "${staged[@]}"; do
  case $file in
    *.sh) shellcheck "$file" || status=1 ;;
    *.json) jq empty "$file" || status=1 ;;
    *.py) python3 -m py_compile "$file" || status=1 ;;
  esac
done

if ((status != 0)); then
  echo "Commit stopped. To commit anyway: git commit --no-verify" >&2
fi
exit "$status"
EOF

chmod +x "$hook"
echo "Installed $hook"
