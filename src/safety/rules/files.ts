/**
 * Rules on files, folders and disks.
 *
 * @module
 */

import { Options, type Redirect, type Report, type Rule, texts } from "../command.ts";
import { isCritical, isDisk, isSystem, pathText, precious } from "../paths.ts";
import { literal, render, type Word } from "../words.ts";

/** What writing to a path does, if it is more than making a file. */
export function written(path: Word, append: boolean): Report[] {
  const text = pathText(path);
  if (isDisk(text)) return [["destructive", `writes over the disk ${render(path)}`]];
  if (text === "/proc/sysrq-trigger") return [["destructive", "triggers the kernel's SysRq"]];
  if (isCritical(text)) {
    return append
      ? [["caution", `adds to ${render(path)}`]]
      : [["destructive", `writes over ${render(path)}`]];
  }
  if (/^\/(proc\/sys|sys)\//.test(text)) return [["caution", "changes a setting of the kernel"]];
  return isSystem(text) ? [["caution", `writes to ${render(path)}, a system file`]] : [];
}

/** What a command's redirections do. */
export function redirected(redirects: Redirect[]): Report[] {
  return redirects.flatMap(({ operator, target }) =>
    /^(&>|>|<>)/.test(operator) && !/^\d+$|^-$/.test(literal(target) ?? "")
      ? written(target, operator.endsWith(">>"))
      : []
  );
}

/** Reports on each path that is precious, in the words of `verb`: "removes everything under /". */
function losing(verb: string, paths: Word[], folder: Word): Report[] {
  return paths.flatMap((path): Report[] => {
    const target = precious(path, folder);
    if (target) return [[target.guarded ? "caution" : "destructive", `${verb} ${target.what}`]];
    const text = pathText(path);
    if (isDisk(text)) return [["destructive", `${verb} the disk ${render(path)}`]];
    return isCritical(text) ? [["destructive", `${verb} ${render(path)}`]] : [];
  });
}

const remove: Rule = ({ args, folder, name }) => {
  const options = new Options(args);
  const vague = args.some((arg) => typeof arg[0] === "object");
  const recursive = options.has("rR", "recursive") || name === "srm";
  // Options may hide in a word that is not known.
  const sweeping = recursive || options.has("f", "force") || (vague && args.length > 1);
  const within = options.operands.filter((path) => recursive || /[*?[]/.test(render(path)));
  const lost = losing("removes", sweeping ? options.operands : within, folder);
  const files = losing("removes", options.operands, folder)
    .filter(([, reason]) => /^removes (\/(etc|boot|vmlinuz|initrd)|.*history$)/.test(reason));
  const reports = [...lost, ...files];
  if (options.has("", "no-preserve-root")) reports.push(["destructive", "removes / if told to"]);
  if (reports.length > 0 || options.operands.length === 0) return reports;
  return [["caution", `removes ${list(options.operands)}`]];
};

function list(words: Word[]): string {
  const shown = words.slice(0, 3).map(render).join(", ");
  return words.length > 3 ? `${shown} and more` : shown;
}

const NARROWING =
  /^-(i?(name|path|wholename|regex|lname)|[acm](time|min)|[ac]?newer.*|size|empty|maxdepth|user|group|perm|inum|samefile|uid|gid|nouser|nogroup)$/;
const REMOVERS = new Set(["rm", "unlink", "shred", "srm", "rmdir", "mv", "truncate"]);

/** The paths that `find` starts from, and whether tests narrow what it finds. */
export function findTargets(args: Word[]): { paths: Word[]; narrowed: boolean } {
  const words = texts(args);
  const first = words.findIndex((word) => /^[-(!]/.test(word) && !/^-[HLPDO]/.test(word));
  const before = args.slice(0, first < 0 ? args.length : first);
  const paths = before.filter((arg) => !/^-/.test(literal(arg) ?? ""));
  const narrowed = words.some((word, i) => {
    const all = /^-i?(name|path|wholename)$/.test(word) &&
      /^(\/|\.\/)?\*(\.\*)?$/.test(words[i + 1]);
    return NARROWING.test(word) && !all && !(word === "-maxdepth" && words.length > 0);
  });
  return { paths: paths.length > 0 ? paths : [["."]], narrowed };
}

const find: Rule = ({ args, folder }) => {
  const words = texts(args);
  const run = words.flatMap((word, i) =>
    /^-(exec|execdir|ok|okdir)$/.test(word) ? [words.slice(i + 1).join(" ")] : []
  );
  const removes = words.includes("-delete") ||
    run.some((command) =>
      command.split(/[\s'";]+/).some((word) => REMOVERS.has(word.replace(/^.*\//, "")))
    );
  if (!removes) return [];
  const { paths, narrowed } = findTargets(args);
  const lost = losing("removes", paths, folder);
  const everything = lost.filter(([, reason]) => /under \/($| if)/.test(reason));
  if (everything.length > 0 || (!narrowed && lost.length > 0)) {
    return narrowed ? everything : lost;
  }
  return [["caution", `removes what it finds in ${list(paths)}`]];
};

/** Whether a file is put back from a copy beside it, as `mv f.bak f` does. */
function restores(source: Word, target: Word): boolean {
  const name = render(target);
  return name.length > 1 && render(source).startsWith(`${name}.`);
}

/** Writing over a path with a copy of it is only a reason for caution. */
function replaced(source: Word, target: Word): Report[] {
  return written(target, false).map(([level, reason]) =>
    restores(source, target) ? ["caution", reason] : [level, reason]
  );
}

const move: Rule = ({ args, folder }) => {
  const { operands } = new Options(args, "tS");
  const target = operands.at(-1);
  const sources = operands.slice(0, -1);
  if (!target || sources.length === 0) return [];
  if (pathText(target) === "/dev/null") {
    return [["destructive", `moves ${list(sources)} to /dev/null`]];
  }
  // What a script moves out of its own folder is not lost.
  const lost = losing("moves", sources, folder)
    .filter(([, reason]) => !/current folder|folder above/.test(reason));
  return [...lost, ...replaced(sources[0], target)];
};

const copy: Rule = ({ args }) => {
  const { operands } = new Options(args, "tS");
  const target = operands.at(-1);
  if (!target || operands.length < 2) return [];
  const reports = replaced(operands[0], target);
  // A folder as the target takes the source's own name.
  for (const source of operands.slice(0, -1)) {
    const inside = `${pathText(target).replace(/\/$/, "")}/${pathText(source).split("/").at(-1)}`;
    if (isCritical(inside)) reports.push(...replaced(source, [inside]));
  }
  return reports;
};

const permissions: Rule = ({ args, folder, name }) => {
  const options = new Options(args);
  const [mode, ...paths] = options.operands;
  if (!mode) return [];
  const what = literal(mode) ?? "";
  const targets = options.has("", "reference") ? options.operands : paths;
  const lost = losing("changes the permissions of", targets, folder);
  const open = name === "chmod" &&
    /^[0-7]?[0-7]?[2367][2367]$|^0*0{1,3}$|[ao]\+?=?[rx]*w|^\+[rx]*w|=rwx|a-|^-[rwx]+$/.test(what);
  const here = /current folder|folder above/;
  if (options.has("R", "recursive")) {
    const bad = lost.filter(([, reason]) => !here.test(reason) || open);
    if (bad.length > 0) {
      return bad.map(([level, reason]) => [level, `${reason}, one after another`]);
    }
  } else if (open && lost.some(([, reason]) => !here.test(reason))) {
    return lost;
  }
  if (/^0*0{1,3}$/.test(what) && name === "chmod") {
    return [["caution", `lets nobody read ${list(targets)}`]];
  }
  if (/^[0-7]?777$/.test(what)) return [["caution", `lets everybody write to ${list(targets)}`]];
  if (/^u?\+s$|^[4-7][0-7]{3}$/.test(what)) {
    return [["caution", `lets ${list(targets)} run as its owner`]];
  }
  return name !== "chmod" ? [["caution", `gives ${list(targets)} to another owner`]] : [];
};

const attributes: Rule = ({ args, folder }) => {
  const { operands } = new Options(
    args.filter((arg) => !/^[-+=][a-zA-Z]+$/.test(literal(arg) ?? "")),
  );
  const lost = losing("changes the attributes of", operands, folder);
  return lost.length > 0 ? lost : [["caution", "changes attributes of files"]];
};

const dd: Rule = ({ args }) =>
  args.flatMap((arg) => {
    const first = arg[0];
    if (typeof first !== "string" || !first.startsWith("of=")) return [];
    return written([first.slice(3), ...arg.slice(1)], false);
  });

/** The last operand is a disk, or a file that serves as one. */
function formats(reason: string): Rule {
  return ({ args }) => {
    const { operands } = new Options(args, "LtUbimNEOTGIrnCdsc");
    if (operands.length === 0) return [];
    const path = texts(operands).at(-1)!;
    const image = /[./]/.test(path) && !path.startsWith("/dev/");
    return [[image ? "caution" : "destructive", `${reason} ${list(operands.slice(-1))}`]];
  };
}

/** Partitioning tools only print with these options. */
function partitions(show: RegExp): Rule {
  return ({ args, name }) => {
    const words = texts(args);
    if (words.length === 0 || words.some((word) => show.test(word))) return [];
    return [["destructive", `changes partitions with ${name}`]];
  };
}

const shred: Rule = ({ args, folder }) => {
  const { operands } = new Options(args, "ns");
  const lost = losing("destroys", operands, folder);
  return lost.length > 0 ? lost : [["caution", `destroys ${list(operands)} beyond recovery`]];
};

const writesAll: Rule = ({ args, name }) => {
  const options = new Options(args, "s");
  return options.operands.flatMap((path) =>
    written(path, name === "tee" && options.has("a", "append"))
  );
};

const truncate: Rule = ({ args, folder }) => {
  const { operands } = new Options(args, "sro");
  return [
    ...operands.flatMap((path) => written(path, false)),
    ...losing("empties", operands, folder),
  ];
};

const writesLast: Rule = ({ args }) => {
  const target = new Options(args).operands.at(-1);
  return target ? written(target, false) : [];
};

const sed: Rule = ({ args }) => {
  const options = new Options(args, "ef");
  if (!options.has("i", "in-place")) return [];
  const critical = options.operands.find((path) => isCritical(pathText(path)));
  return [["caution", `edits ${critical ? render(critical) : "files"} in place`]];
};

const rsync: Rule = ({ args, folder }) => {
  const options = new Options(args, "e");
  if (
    !options.has("", "delete", "delete-after", "delete-before", "delete-during", "delete-excluded")
  ) {
    return [];
  }
  const lost = losing("removes", options.operands.slice(-1), folder);
  const sweeping = lost.filter(([, reason]) => !/current folder/.test(reason));
  return sweeping.length > 0 ? sweeping : [["caution", "removes what the source does not have"]];
};

const tar: Rule = ({ args, folder }) => {
  const words = texts(args);
  if (!words.includes("--remove-files")) return [];
  const { operands } = new Options(args, "fC");
  const lost = losing("removes", operands, folder);
  return lost.length > 0 ? lost : [["caution", "removes the files that it packs"]];
};

const hdparm: Rule = ({ args }) =>
  texts(args).some((word) =>
      /^--(security-erase|trim-sector|write-sector|make-bad|fwdownload)/.test(word)
    )
    ? [["destructive", "erases a disk"]]
    : [];

const nvme: Rule = ({ args }) =>
  /^(format|sanitize|write-zeroes|delete-ns)$/.test(texts(args)[0] ?? "")
    ? [["destructive", "erases a disk"]]
    : [];

/** Subcommands of storage managers that give volumes up. */
function subcommands(pattern: RegExp, reason: string): Rule {
  return ({ args }) =>
    texts(args).some((word) => pattern.test(word)) ? [["destructive", reason]] : [];
}

function always(reason: string, level: "caution" | "destructive" = "destructive"): Rule {
  return () => [[level, reason]];
}

const mount: Rule = () => [["caution", "changes what is mounted"]];

const download: Rule = ({ args }) => {
  const words = texts(args);
  return words.flatMap((word, i) =>
    /^-[a-zA-Z]*[oO]$|^--output(-document)?$/.test(word) && args[i + 1]
      ? written(args[i + 1], false)
      : []
  );
};

/** Rules by the name of the command. */
export const FILE_RULES: Record<string, Rule> = {
  rm: remove,
  unlink: remove,
  srm: remove,
  rmdir: () => [],
  find,
  mv: move,
  cp: copy,
  install: copy,
  ln: writesLast,
  chmod: permissions,
  chown: permissions,
  chgrp: permissions,
  setfacl: attributes,
  chattr: attributes,
  dd,
  dcfldd: dd,
  tee: writesAll,
  sponge: writesAll,
  truncate,
  shred,
  wipe: shred,
  sed,
  rsync,
  tar,
  hdparm,
  nvme,
  mount,
  umount: mount,
  curl: download,
  wget: download,
  mkfs: formats("formats"),
  mke2fs: formats("formats"),
  mkswap: formats("makes swap of"),
  mkdosfs: formats("formats"),
  mkntfs: formats("formats"),
  newfs: formats("formats"),
  wipefs: ({ args }) =>
    new Options(args).has("af", "all", "force")
      ? [["destructive", `erases the signatures of ${list(new Options(args).operands)}`]]
      : [],
  blkdiscard: always("discards everything on a disk"),
  badblocks: ({ args }) =>
    new Options(args).has("w") ? [["destructive", "writes over a disk"]] : [],
  scrub: formats("destroys"),
  nwipe: always("erases disks"),
  fdisk: partitions(/^(-l|--list|-s|-x|--help|-V|--version)$/),
  gdisk: partitions(/^-l$/),
  cfdisk: partitions(/^-(h|V)$/),
  sfdisk: partitions(/^(-l|--list|-d|--dump|-J|--json|-s|--show-.*|-V|--verify|-F)$/),
  sgdisk: partitions(/^(-p|--print|-i.*|--info.*|-b.*|--backup.*|-v|--verify|-[EDFL])$/),
  parted: partitions(/^(print|-l|--list|align-check|-h|--help)$/),
  cryptsetup: subcommands(
    /^(luksFormat|luksErase|erase|reencrypt)$/,
    "destroys an encrypted volume",
  ),
  lvremove: always("removes a volume"),
  vgremove: always("removes a volume group"),
  pvremove: always("removes a physical volume"),
  zpool: subcommands(/^(destroy|labelclear)$/, "destroys a pool"),
  zfs: subcommands(/^(destroy|rollback)$/, "destroys a file system"),
  btrfs: subcommands(/^(delete)$/, "deletes a subvolume or a device"),
  mdadm: subcommands(/^--(zero-superblock|create)$/, "destroys an array's data"),
};

/** `mkfs.ext4` and its like share a rule. */
export function isFormatter(name: string): boolean {
  return /^(mkfs|newfs)[._]/.test(name);
}
