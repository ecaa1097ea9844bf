#!/bin/bash
# Create a bare git repository with a post-receive hook that deploys the main branch on every push
set -euo pipefail

name=${1:-}
if ! [[ $name =~ ^[a-z0-9-]+$ ]]; then
  echo "Usage: $0 NAME [WORK_TREE]   (small letters, digits and dashes)" >&2
  exit 2
fi

repository=$HOME/repos/$name.git
work_tree=$(realpath -m "${2:-$HOME/sites/$name}")
hook=$repository/hooks/post-receive

mkdir -p "$work_tree" "$(dirname "$repository")"

if [[ ! -d $repository ]]; then
  git init --bare --quiet "$repository"
fi

# The first part is filled in now, the quoted part runs on each push.
{
  echo '#!/bin/bash'
  printf 'work_tree=%q\n' "$work_tree"
  cat <<'EOF'
set -euo pipefail

while read -r _ new_commit ref; do
  if [[ $ref != refs/heads/main ]]; then
    echo "Ignoring $ref, only main is deployed"
    continue
  fi
  echo "Deploying ${new_commit:0:8} to $work_tree"
  git --work-tree="$work_tree" checkout --force main
  if [[ -x $work_tree/deploy.sh ]]; then
    (cd "$work_tree" && unset GIT_DIR && ./deploy.sh)
  fi
done
EOF
} >"$hook"
chmod +x "$hook"

echo "Add the remote on your machine and push:"
echo "  git remote add production $(id -un)@$(hostname -f):repos/$name.git"
echo "  git push production main"
