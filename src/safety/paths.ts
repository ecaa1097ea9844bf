/**
 * Which paths a script must not lose: the root, system folders, homes, disks, account files.
 *
 * @module
 */

import { globSource } from "./glob.ts";
import type { Word } from "./words.ts";

/** What a path stands for, and whether only because of a variable that the script checks. */
export interface Target {
  /** "everything under /". */
  what: string;
  /** The path is this only if a variable that the script checks is empty after all. */
  guarded: boolean;
}

const FOLDERS = [
  "bin boot dev etc home lib lib32 lib64 libx32 media mnt opt proc root run sbin srv sys usr var",
  "Users System Library Applications Volumes private private/etc private/var",
  "usr/bin usr/lib usr/lib64 usr/libexec usr/local usr/local/bin usr/local/lib usr/sbin usr/share",
  "usr/include usr/src var/lib var/spool var/mail var/www var/backups boot/efi boot/grub etc/ssh",
  "etc/pam.d etc/systemd etc/systemd/system etc/init.d etc/ssl etc/apt etc/network etc/default",
  "lib/modules lib/systemd usr/lib/systemd usr/lib/modules var/lib/dpkg var/lib/rpm",
  "var/lib/mysql var/lib/postgresql var/lib/docker var/lib/mongodb var/lib/redis",
].join(" ").split(" ");

const PERSONAL = new Set([
  ".ssh",
  ".gnupg",
  ".config",
  ".local",
  ".local/share",
  ".kube",
  ".aws",
  "Documents",
  "Desktop",
  "Downloads",
  "Pictures",
  "Music",
  "Videos",
  "Library",
]);

/** Account, boot and name files without which the machine is not to be used. */
const CRITICAL =
  /^\/etc\/(passwd|shadow|group|gshadow|sudoers|sudoers\.d\/[^/]+|fstab|hosts|hostname|crypttab|inittab|resolv\.conf|nsswitch\.conf|ld\.so\.(conf|preload)|ssh\/sshd_config|pam\.d\/[^/]+|security\/[^/]+|profile|environment|crontab)-?$|^\/boot\/(vmlinuz|initrd|initramfs|grub)[^/]*|^\/boot\/grub2?\/grub\.cfg$|^\/(vmlinuz|initrd\.img)$/;

const HISTORY = /(^|\/)\.(bash|zsh|sh|ash|ksh)_?history$/;

const SYSTEM = /^\/(bin|boot|etc|lib|lib32|lib64|sbin|usr|sys|proc)(\/|$)/;

const DISK =
  /^\/dev\/(sd|hd|vd|xvd|nvme|mmcblk|md|dm-|disk|rdisk|loop|sr|mapper\/|disk\/|mem$|kmem$|port$|mtd|zram|nbd|\*|\[|\?|\ue002)/;

const HOME = "\ue001", SOME = "\ue002", FOLDER = "\ue003";
const ALL = /^(\*+|\.\*+|\.\[[!^].*|\?\*+|\*\.\*|\.\?\*|\.\.\?\*|\*\?|\[[!^]?\.\]\*)$/;

/** Whether a path is a disk or a raw device. */
export function isDisk(path: string): boolean {
  return DISK.test(normalize(path));
}

/** Whether a path is one of the files that hold accounts, mounts, the kernel or a shell's history. */
export function isCritical(path: string): boolean {
  const full = normalize(path);
  return CRITICAL.test(full) || HISTORY.test(full);
}

/** Whether a path lies in a folder that belongs to the system. */
export function isSystem(path: string): boolean {
  return SYSTEM.test(normalize(path));
}

/** The path in writing, unknown parts as characters that match no name; for the tests above. */
export function pathText(word: Word): string {
  return spell(word, false);
}

/**
 * What would be lost if everything under the path were: `undefined` for a path of which the script
 * may dispose.
 * @param folder The folder that a relative path starts from.
 */
export function precious(path: Word, folder: Word): Target | undefined {
  if (path.length === 0) return undefined;
  const filled = describe(spell(path, false), spell(folder, false));
  if (filled) return { what: filled, guarded: false };
  const open = [...path, ...(isAbsolute(path) ? [] : folder)]
    .filter((part) => typeof part !== "string" && part.empty !== "never");
  if (open.length === 0) return undefined;
  const emptied = spell(path, true);
  if (emptied === "") return undefined;
  const what = describe(emptied, spell(folder, true));
  if (!what) return undefined;
  const names = open.map((part) => (part as { source: string }).source);
  return {
    what: `${what} if ${[...new Set(names)].join(", ")} is empty`,
    guarded: open.some((part) => typeof part !== "string" && part.empty === "guarded"),
  };
}

function isAbsolute(path: Word): boolean {
  const first = path[0];
  return typeof first === "string" ? first.startsWith("/") : first?.origin !== "folder";
}

/** Writes a word as a path, with marks for what is unknown, or nothing where it may be empty. */
function spell(word: Word, emptied: boolean): string {
  return word.map((part) => {
    if (typeof part === "string") return part;
    if (part.origin === "home") return /^~[\w]/.test(part.source) ? `/home/${SOME}` : HOME;
    if (part.origin === "folder") return FOLDER;
    return emptied && part.empty !== "never" ? "" : SOME;
  }).join("");
}

/** Resolves `//`, `.` and `..`; a relative path stays relative. */
function normalize(path: string): string {
  const absolute = path.startsWith("/");
  const out: string[] = [];
  for (const name of path.split("/")) {
    if (name === "" || name === ".") continue;
    if (name !== "..") out.push(name);
    else if (out.length > 0 && out.at(-1) !== ".." && out.at(-1) !== HOME) out.pop();
    else if (out.at(-1) === HOME) out.splice(0, out.length, "", "home");
    else if (!absolute) out.push("..");
  }
  return (absolute ? "/" : "") + out.join("/");
}

function describe(path: string, folder: string): string | undefined {
  const relative = !/^[/\ue001\ue002\ue003]/.test(path);
  const full = relative && folder !== "" ? `${folder}/${path}` : path;
  const names = normalize(full).split("/");
  // What matches everything in a folder is the folder.
  while (names.length > 1 && ALL.test(names.at(-1)!)) names.pop();
  if (names.length === 1 && ALL.test(names[0])) return "everything in the current folder";
  const target = names.join("/");
  if (target === "" || target === "/") {
    return full.startsWith("/") ? "everything under /" : "everything in the current folder";
  }
  if (target === FOLDER || target === ".") return "everything in the current folder";
  if (/^(\ue003\/)?\.\.(\/\.\.)*$/.test(target)) return "everything in a folder above";
  if (target === HOME) return "the home folder";
  if (target.startsWith(`${HOME}/`)) {
    const inside = target.slice(2);
    return PERSONAL.has(inside) ? `~/${inside}` : repository(target);
  }
  const pattern = new RegExp(`^${globSource(target, "[^/]*")}$`);
  if (target.startsWith("/")) {
    const hit = FOLDERS.find((name) => pattern.test(`/${name}`));
    if (hit) return `everything under /${hit}`;
    if (/^\/(home|Users)\/[^/]+$/.test(target)) return "a home folder";
    if (/^\/root\/[^/]*\*$/.test(target)) return "the home folder of root";
  }
  return repository(target);
}

/** The history of a repository, unless it lies in a folder that the script does not name. */
function repository(target: string): string | undefined {
  return /(^|\/)\.git$/.test(target) && !target.includes(SOME)
    ? "the history of a repository"
    : undefined;
}
