/**
 * Rules on the running machine: power, processes, users, services, firewalls, kernel.
 *
 * @module
 */

import { Options, type Report, type Rule, texts } from "../command.ts";
import { literal, render } from "../words.ts";

/** A report on the first set of words that fits; none if none does. */
function words(...cases: [RegExp, Report[0], string][]): Rule {
  return ({ args }) => {
    const text = args.map(render).join(" ");
    const hit = cases.find(([pattern]) => pattern.test(text));
    return hit ? [[hit[1], hit[2]]] : [];
  };
}

function caution(reason: string): Rule {
  return () => [["caution", reason]];
}

function destructive(reason: string): Rule {
  return () => [["destructive", reason]];
}

const POWER = "turns the machine off or restarts it";

const kill: Rule = ({ args, name }) => {
  const text = texts(args);
  const hard = text.some((word) => /^-(9|KILL|SIGKILL)$/.test(word)) ||
    /-s (9|KILL|SIGKILL)/.test(text.join(" "));
  if (name === "kill") {
    const signal = text.findIndex((word) => /^-/.test(word));
    const targets = text.filter((_, i) => i !== signal);
    const everyone = args.some((arg) => /^\$\(ps [^|]*\)$/.test(render(arg)));
    if (everyone || (signal >= 0 && targets.includes("-1"))) {
      return [["destructive", "kills every process"]];
    }
    return targets.includes("1") && signal >= 0 && text[signal] !== "-0"
      ? [["destructive", "kills init"]]
      : [];
  }
  if (name === "killall5") return [["destructive", "kills every process"]];
  const { operands } = new Options(args, name === "pkill" ? "gGPstTuU" : "sunoy");
  const all = texts(operands).some((word) => /^(\.\*?|\^|\.\+|systemd|init|sshd)$/.test(word)) ||
    /(^| )-[uU] ?root( |$)/.test(text.join(" "));
  if (all) return [["destructive", "kills every process or those that keep the machine up"]];
  return hard ? [["caution", `kills ${operands.map(render).join(", ")} at once`]] : [];
};

const systemctl: Rule = words(
  [
    /(^| )(poweroff|reboot|halt|kexec|emergency|rescue|default-off|isolate \S*(rescue|emergency|poweroff|reboot|halt))/,
    "destructive",
    POWER,
  ],
  [
    /(^| )(stop|disable|mask)( |$).*(sshd?|network|NetworkManager|systemd-\w+|firewalld|ufw|auditd|dbus)\b/,
    "caution",
    "stops a service that the machine needs",
  ],
  [
    /(^| )(start|stop|restart|reload|enable|disable|mask|unmask|daemon-re\w+|kill|edit|set-default|isolate|reload-or-restart|try-restart)( |$)/,
    "caution",
    "changes services",
  ],
);

const packages: Rule = ({ args, name }) => {
  const text = texts(args).join(" ");
  if (
    /(^| )(remove|purge|autoremove|erase|-R\w*|--purge|-e|-P|uninstall|dist-upgrade)( |$)/.test(
      text,
    )
  ) {
    return /(^| )(--allow-remove-essential|--force-all|--force-remove-essential)( |$)/.test(text)
      ? [["destructive", "removes packages that the system needs"]]
      : [["caution", `removes packages with ${name}`]];
  }
  return /(^| )(install|upgrade|update|add|full-upgrade|-S\w*|-U\w*|-i\w*|localinstall|refresh|dist-upgrade|ci|i)( |$)/
      .test(text)
    ? [["caution", `changes packages with ${name}`]]
    : [];
};

const crontab: Rule = ({ args, stdin }) => {
  if (new Options(args, "u").has("r")) return [["destructive", "removes all cron jobs of a user"]];
  const { operands } = new Options(args, "u");
  return operands.length > 0 || stdin ? [["caution", "replaces cron jobs"]] : [];
};

const iptables: Rule = words(
  [/(^| )(-F|--flush|-X|--delete-chain)( -|$)/, "destructive", "drops all firewall rules"],
  [/(^| )(-P|--policy) \S+ /, "caution", "changes what the firewall does by default"],
  [
    /(^| )(-[AIDRNZFX]|--(append|insert|delete|replace|flush|delete-chain))( |$)/,
    "caution",
    "changes firewall rules",
  ],
);

const users: Rule = ({ name, args }) => {
  const target = new Options(args, "cdegGkKpsuafRZ").operands.at(-1);
  return [[
    "destructive",
    `${name === "groupdel" ? "removes a group" : "removes a user"}${
      target ? `: ${render(target)}` : ""
    }`,
  ]];
};

const history: Rule = ({ args }) =>
  new Options(args).has("c") ? [["destructive", "erases the shell's history"]] : [];

const sysctl: Rule = ({ args }) => {
  const text = texts(args).join(" ");
  if (/kernel\.(panic|sysrq)|vm\.panic_on_oom/.test(text) && /=/.test(text)) {
    return [["destructive", "changes when the kernel panics"]];
  }
  return /(^| )(-w|--write|-p|--system|\S+=\S+)/.test(text)
    ? [["caution", "changes a setting of the kernel"]]
    : [];
};

const passwd: Rule = ({ args }) =>
  new Options(args).has("d", "delete")
    ? [["destructive", "removes a password"]]
    : [["caution", "changes a password"]];

const usermod: Rule = ({ args }) => {
  const text = args.map(render).join(" ");
  return /(^| )(-[a-zA-Z]*G|--groups)[ =].*(sudo|wheel|root|docker)|-o?u 0( |$)/.test(text)
    ? [["caution", "gives a user more rights"]]
    : [["caution", "changes a user"]];
};

/** Rules by the name of the command. */
export const SYSTEM_RULES: Record<string, Rule> = {
  shutdown: words(
    [/(^| )-c( |$)/, "caution", "cancels a shutdown"],
    [/(^| )\+(?!0( |$))/, "caution", "turns the machine off or restarts it after a while"],
    [/^/, "destructive", POWER],
  ),
  reboot: destructive(POWER),
  halt: destructive(POWER),
  poweroff: destructive(POWER),
  init: words([/^[06sS1]$/, "destructive", POWER]),
  telinit: words([/^[06sS1]$/, "destructive", POWER]),
  systemctl,
  service: caution("changes services"),
  "rc-service": caution("changes services"),
  "update-rc.d": caution("changes services"),
  launchctl: caution("changes services"),
  kill,
  killall: kill,
  pkill: kill,
  killall5: kill,
  skill: kill,
  "apt-get": packages,
  apt: packages,
  aptitude: packages,
  dpkg: packages,
  yum: packages,
  dnf: packages,
  zypper: packages,
  rpm: packages,
  pacman: packages,
  apk: packages,
  brew: packages,
  snap: packages,
  flatpak: packages,
  pip: packages,
  pip3: packages,
  pipx: packages,
  gem: packages,
  npm: packages,
  yarn: packages,
  pnpm: packages,
  cargo: packages,
  conda: packages,
  crontab,
  iptables,
  ip6tables: iptables,
  nft: words(
    [/flush ruleset|delete table/, "destructive", "drops all firewall rules"],
    [/(^| )(add|insert|delete|flush|replace|-f)( |$)/, "caution", "changes firewall rules"],
  ),
  ufw: words(
    [/(^| )(disable|reset)( |$)/, "destructive", "drops the firewall"],
    [
      /(^| )(allow|deny|reject|limit|delete|enable|default|reload)( |$)/,
      "caution",
      "changes firewall rules",
    ],
  ),
  "firewall-cmd": words([/--(add|remove|set|reload|panic)/, "caution", "changes firewall rules"]),
  setenforce: words([/^(0|[pP]ermissive)/, "caution", "switches SELinux off"]),
  userdel: users,
  deluser: users,
  groupdel: users,
  delgroup: users,
  usermod,
  useradd: caution("adds a user"),
  adduser: caution("adds a user"),
  groupadd: caution("adds a group"),
  passwd,
  chpasswd: caution("changes passwords"),
  visudo: caution("changes who may act as root"),
  history,
  swapoff: words([/(^| )(-a|--all)( |$)/, "caution", "switches swap off"]),
  sysctl,
  modprobe: caution("loads or unloads kernel modules"),
  rmmod: caution("unloads a kernel module"),
  insmod: caution("loads a kernel module"),
  ip: words(
    [
      /(^| )link (set )?.*down( |$)|route (del|flush)|addr(ess)? flush/,
      "caution",
      "takes a network away",
    ],
    [/(^| )(add|del|delete|replace|change|set|flush)( |$)/, "caution", "changes the network"],
  ),
  ifconfig: words([/ down$/, "caution", "takes a network away"]),
  ifdown: caution("takes a network away"),
  nmcli: words([
    /(^| )(down|delete|off|modify|add|disconnect)( |$)/,
    "caution",
    "changes the network",
  ]),
  "grub-install": caution("installs a boot loader"),
  "update-grub": caution("changes what the machine boots"),
  efibootmgr: words([/(^| )-[a-zA-Z]*B/, "destructive", "removes a boot entry"]),
  journalctl: words([/--vacuum|--rotate/, "caution", "removes old logs"]),
  wevtutil: words([/^cl /, "destructive", "erases a log"]),
  unset: ({ args }) =>
    args.some((arg) => /^HIST(FILE|SIZE)$/.test(literal(arg) ?? ""))
      ? [["caution", "keeps commands out of the shell's history"]]
      : [],
};
