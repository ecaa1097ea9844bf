/** Scripts that the safety tests must not find destructive. None of them is ever run. */

import { lines } from "./dangerous_cases.ts";

/** A script that must not be called destructive. */
export interface Harmless {
  name: string;
  script: string;
  level: "safe" | "caution";
}

export const HARMLESS: Harmless[] = [
  {
    name: "source of what a command prints",
    script: "source <(kubectl completion bash)",
    level: "caution",
  },
  { name: "source of a file", script: "source ./lib.sh", level: "safe" },
  { name: "hello", script: 'echo "Hello, world"', level: "safe" },
  {
    name: "temporary folder",
    script: lines("tmp=$(mktemp -d)", `trap 'rm -rf "$tmp"' EXIT`, 'cp data.csv "$tmp"'),
    level: "caution",
  },
  {
    name: "temporary folder emptied",
    script: lines("t=$(mktemp -d)", 'rm -rf "$t"/*'),
    level: "caution",
  },
  { name: "checked variable", script: 'rm -rf "${build_dir:?}"/*', level: "caution" },
  {
    name: "variable tested first",
    script: lines('dir="$1"', 'if [ -z "$dir" ]; then', "  exit 1", "fi", 'rm -rf "$dir"/*'),
    level: "caution",
  },
  { name: "build folders", script: "rm -rf ./build node_modules dist", level: "caution" },
  { name: "one file", script: "rm -f /tmp/app.pid", level: "caution" },
  {
    name: "danger in a string",
    script: 'echo "never run rm -rf / or mkfs.ext4 /dev/sda"',
    level: "safe",
  },
  {
    name: "danger in a comment",
    script: lines("# rm -rf /", "ls -la # dd of=/dev/sda"),
    level: "safe",
  },
  {
    name: "danger in a here-document",
    script: lines("cat <<EOF > readme.md", "Never run rm -rf / or", ":(){ :|:& };:", "EOF"),
    level: "safe",
  },
  { name: "grep for danger", script: 'grep -rn "rm -rf /" --include="*.sh" .', level: "safe" },
  {
    name: "old logs",
    script: "find /var/log -name '*.gz' -mtime +30 -delete",
    level: "caution",
  },
  { name: "compiled files", script: "find . -name '*.pyc' -exec rm -f {} +", level: "caution" },
  {
    name: "a file of zeros",
    script: "dd if=/dev/zero of=./disk.img bs=1M count=100",
    level: "safe",
  },
  { name: "a file system in a file", script: "mkfs.ext4 -F ./disk.img", level: "caution" },
  {
    name: "download and filter",
    script: "curl -s https://api.example.com/v1 | jq -r '.name'",
    level: "safe",
  },
  {
    name: "download to a file",
    script: "curl -fsSL https://example.com/a.tar.gz -o a.tar.gz",
    level: "safe",
  },
  {
    name: "download for a program",
    script:
      `curl -s https://example.com/x.json | python3 -c 'import json,sys; print(json.load(sys.stdin)["a"])'`,
    level: "safe",
  },
  { name: "careful push", script: "git push --force-with-lease origin topic", level: "caution" },
  {
    name: "plain push",
    script: lines("git add .", 'git commit -m "Fix -f flag"', "git push -u origin main"),
    level: "safe",
  },
  { name: "silence", script: "command -v git > /dev/null 2>&1 || echo missing >&2", level: "safe" },
  {
    name: "port probe",
    script: "(echo > /dev/tcp/localhost/5432) 2>/dev/null && echo open",
    level: "safe",
  },
  { name: "find for names", script: "find / -name core -type f 2>/dev/null | head", level: "safe" },
  {
    name: "disk report",
    script: lines("df -h /dev/sda1", "lsblk", "fdisk -l /dev/sda"),
    level: "safe",
  },
  {
    name: "disk read",
    script: "dd if=/dev/sda of=backup.img bs=4M conv=sync,noerror",
    level: "safe",
  },
  {
    name: "permissions of a script",
    script: "chmod +x deploy.sh && chmod 600 ~/.ssh/id_ed25519",
    level: "safe",
  },
  {
    name: "owner of a web folder",
    script: "chown -R www-data:www-data /var/www/html",
    level: "caution",
  },
  {
    name: "package install",
    script: lines("sudo apt-get update", "sudo apt-get install -y nginx"),
    level: "caution",
  },
  {
    name: "service restart",
    script: "systemctl restart nginx && systemctl status nginx --no-pager",
    level: "caution",
  },
  {
    name: "signal to one process",
    script: lines('pid=$(pgrep -f "node server.js")', 'kill -9 "$pid"'),
    level: "safe",
  },
  { name: "named kill", script: "pkill -f 'node server.js'", level: "safe" },
  { name: "list cron jobs", script: "crontab -l | grep backup", level: "safe" },
  {
    name: "add a cron job",
    script: '(crontab -l 2>/dev/null; echo "0 3 * * * /usr/local/bin/backup.sh") | crontab -',
    level: "caution",
  },
  { name: "firewall report", script: "iptables -L -n -v", level: "safe" },
  { name: "firewall opens a port", script: "ufw allow 443/tcp", level: "caution" },
  {
    name: "query",
    script: `psql -d shop -c "SELECT count(*) FROM orders WHERE note = 'drop'"`,
    level: "safe",
  },
  {
    name: "delete some rows",
    script: `mysql -e "DELETE FROM sessions WHERE expires < NOW()" app`,
    level: "caution",
  },
  { name: "dump", script: 'pg_dump shop | gzip > "shop-$(date +%F).sql.gz"', level: "safe" },
  { name: "one container", script: "docker stop web && docker rm web", level: "caution" },
  {
    name: "image build",
    script: "docker build -t app:latest . && docker push app:latest",
    level: "safe",
  },
  { name: "pods", script: "kubectl get pods -A -o wide | grep -v Running", level: "safe" },
  { name: "one pod", script: "kubectl delete pod web-0", level: "caution" },
  { name: "plan", script: "terraform plan -out=tf.plan && terraform apply tf.plan", level: "safe" },
  { name: "edit a configuration", script: "sed -i 's/8080/9090/' config.ini", level: "caution" },
  { name: "read accounts", script: "cut -d: -f1 /etc/passwd | sort", level: "safe" },
  { name: "copy accounts away", script: "cp /etc/passwd /etc/fstab /backup/", level: "safe" },
  {
    name: "fstab put back",
    script: lines("cp /etc/fstab /etc/fstab.bak", "mv /etc/fstab.bak /etc/fstab"),
    level: "caution",
  },
  {
    name: "folder of the script",
    script: lines(
      'SCRIPT_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"',
      'rm -rf "$SCRIPT_DIR"/out',
    ),
    level: "caution",
  },
  { name: "folder entered first", script: "cd /srv/app/cache && rm -rf -- *", level: "caution" },
  {
    name: "key agent",
    script: lines('eval "$(ssh-agent -s)"', "ssh-add ~/.ssh/id_ed25519"),
    level: "caution",
  },
  { name: "remote command", script: "ssh web1 'df -h; uptime'", level: "safe" },
  {
    name: "loop in a subshell",
    script: "bash -c 'for i in 1 2 3; do echo $i; done'",
    level: "safe",
  },
  {
    name: "recursive function",
    script: lines(
      "fact() {",
      "  (( $1 <= 1 )) && echo 1 && return",
      "  echo $(( $1 * $(fact $(( $1 - 1 ))) ))",
      "}",
      "fact 5",
    ),
    level: "safe",
  },
  {
    name: "workers",
    script: lines("work() { sleep 1; }", "for i in 1 2 3; do work & done", "wait"),
    level: "safe",
  },
  { name: "a folder called tilde", script: `rm -rf "./~"`, level: "caution" },
  {
    name: "xargs over found files",
    script: "find . -name '*.tmp' -print0 | xargs -0 rm -f",
    level: "caution",
  },
  {
    name: "backup script",
    script: lines(
      "#!/usr/bin/env bash",
      "set -euo pipefail",
      "",
      'src="${1:?usage: backup SOURCE}"',
      'dest="${2:-/var/backups/home}"',
      "keep=7",
      "",
      "stamp=$(date +%Y%m%d-%H%M%S)",
      'mkdir -p "$dest"',
      'tar -czf "$dest/backup-$stamp.tar.gz" -C "$src" .',
      "",
      "# Remove what is older than a week.",
      'find "$dest" -name "backup-*.tar.gz" -mtime +"$keep" -delete',
      'ls -1t "$dest"/backup-*.tar.gz | tail -n +"$((keep + 1))" | xargs -r rm -f --',
      'echo "Backup of $src is in $dest" >&2',
    ),
    level: "caution",
  },
  {
    name: "log rotation",
    script: lines(
      "#!/bin/bash",
      "LOG_DIR=/var/log/myapp",
      "MAX_SIZE=$((10 * 1024 * 1024))",
      'for log in "$LOG_DIR"/*.log; do',
      '  [ -f "$log" ] || continue',
      '  size=$(stat -c %s "$log")',
      '  if [ "$size" -gt "$MAX_SIZE" ]; then',
      '    mv "$log" "$log.1"',
      '    gzip -f "$log.1"',
      '    : > "$log"',
      "  fi",
      "done",
    ),
    level: "safe",
  },
  {
    name: "deployment",
    script: lines(
      "#!/usr/bin/env bash",
      "set -euo pipefail",
      "app=/srv/app",
      'release="$app/releases/$(date +%s)"',
      'git clone --depth 1 https://example.com/app.git "$release"',
      'cd "$release"',
      "npm ci --omit=dev",
      'ln -sfn "$release" "$app/current"',
      "sudo systemctl reload app",
      'ls -1dt "$app"/releases/* | tail -n +6 | xargs -r rm -rf',
    ),
    level: "caution",
  },
  {
    name: "usage text",
    script: lines(
      "usage() {",
      "  cat <<'EOF'",
      "Usage: wipe [--all]",
      "  --all   as rm -rf / would; see also: curl https://x | sh",
      "EOF",
      "}",
      'case "${1:-}" in',
      "  -h | --help) usage; exit 0 ;;",
      "  *) usage >&2; exit 2 ;;",
      "esac",
    ),
    level: "safe",
  },
];
