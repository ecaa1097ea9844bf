/**
 * The shell script at the head of a self-extracting executable.
 *
 * It is POSIX sh and calls nothing but tail, gzip, tar and the like, once: the first run unpacks the
 * archive behind the script into a cache folder, under a temporary name that becomes the real one when
 * all is there. From then on a start is a look whether every file is in its place, and an `exec`. The
 * cache folder has to belong to the user, as programs are run from it.
 */

/** What the script has to know. */
export interface LauncherValues {
  /** Name of this content: letters and digits. */
  key: string;
  /** What `uname -sm` prints where the executable runs. */
  system: string;
  /** Bytes of all files, unpacked. */
  bytes: number;
  /** Names of all files that are not empty. */
  files: string[];
  /** Name of the Deno among them. */
  runtime: string;
  /** Arguments of Deno up to the app's own; `$app` is its folder. */
  args: string[];
}

/**
 * The script, which ends where the archive begins.
 * @throws {RangeError} if a file's name is one that the shell would not take as it is.
 */
export function launcher({ key, system, bytes, files, runtime, args }: LauncherValues): string {
  const odd = files.find((name) => !/^[\w./@+-]+$/.test(name));
  if (odd !== undefined) {
    throw new RangeError(`${odd} cannot be packed: use letters, digits and . _ - @ + in its name.`);
  }
  const script = (start: number) =>
    `#!/bin/sh
# Bashling in one file: this script, then a compressed archive of the program and the Deno that runs
# it. The first run unpacks it into a cache folder. Delete that folder as you like.
self=$0
key=${key}
start=${start}
system='${system}'
size='${Math.ceil(bytes / 1e6)} MB'
files='
${files.join("\n")}
'

unset IFS

# Finds the system's tools, whatever is on the path.
tools() {
  PATH=\${PATH:+$PATH:}/usr/bin:/bin LC_ALL=C
  export PATH LC_ALL
  unset TAR_OPTIONS GZIP POSIXLY_CORRECT
}

fail() {
  printf 'error: %s\\n' "$1" >&2
  exit 1
}

# Whether every file of the program is in the folder $1, and not emptied by a fall of the system.
whole() {
  for file in $files; do
    [ -s "$1/$file" ] || return 1
  done
  [ -x "$1/${runtime}" ]
}

# Whether the program is in the cache folder $1 and nobody else can have put it there.
ready() {
  app=$1/app.$key
  [ -O "$1" ] && [ -O "$app" ] && whole "$app"
}

# Unpacks the program into the cache folder $1.
unpack() (
  tools
  umask 077
  mkdir -p "$1" && [ -O "$1" ] || exit 1
  case $(ls -ldn "$1/.") in ????????w*) exit 1 ;; esac
  # What killed runs left behind, and versions that nobody has started for half a year.
  find "$1"/part.* -prune -mtime +0 -exec rm -rf {} +
  for old in "$1"/app.*; do
    [ -n "$(find "$old/used" -prune -mtime +180)" ] && rm -rf "$old"
  done
  part=$(mktemp -d "$1/part.XXXXXXXX") || exit 1
  trap 'rm -rf "$part"' EXIT
  trap 'exit 1' HUP INT TERM
  # The file "used" is written when all was read and its checksum is right; cat reads what tar leaves.
  tail -c "+$start" <"$self" | { gzip -dc && true >"$part/used"; } |
    { tar -xof - -C "$part" && cat >/dev/null; } && [ -f "$part/used" ] || exit 1
  # Some places let nothing be run from them.
  "$part/${runtime}" --version >/dev/null || exit 1
  app=$1/app.$key
  [ -e "$app" ] || mv "$part" "$app"
  # Another run may have been faster, and ours be in its folder now; and a cleaner of old files may
  # have left half of a folder, to which is added what it lacks.
  rm -rf "$app/\${part##*/}"
  whole "$app" && exit
  for file in $files; do
    path=$app/$file
    [ -s "$path" ] || { mkdir -p "\${path%/*}" && mv "$part/$file" "$path"; }
  done
  whole "$app"
) 2>/dev/null

# Says why the program could not be unpacked into $1, which stands for one folder or two.
explain() {
  tools
  here=$(uname -sm)
  [ "$here" = "$system" ] || fail "This bashling is for $system, and this machine is $here: \\
build one for it with deno task compile."
  for tool in tail gzip tar mktemp find; do
    command -v "$tool" >/dev/null || fail "bashling needs $tool to unpack itself: install it."
  done
  tail -c "+$start" <"$self" | gzip -t 2>/dev/null ||
    fail 'This bashling is damaged: download or build it again.'
  fail "bashling cannot be unpacked into $1: make room for $size there, or set XDG_CACHE_HOME to \\
a folder of yours from which programs may be run."
}

cache=
case \${XDG_CACHE_HOME-} in
  /*) cache=$XDG_CACHE_HOME/bashling ;;
  *) case \${HOME-} in /*) [ -d "$HOME" ] && cache=$HOME/.cache/bashling ;; esac ;;
esac
if [ -z "$cache" ] || ! ready "$cache"; then
  case \${TMPDIR-} in /*) private=$TMPDIR ;; *) private=/tmp ;; esac
  private=$private/bashling-$(tools; id -u)
  # Where everybody may write, a link may be a trap.
  [ -L "$private" ] && private=
  if [ -z "$private" ] || ! ready "$private"; then
    [ -t 2 ] && printf 'Unpacking bashling (%s), this once.\\n' "$size" >&2
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    { [ -n "$cache" ] && unpack "$cache" && ready "$cache"; } ||
      { [ -n "$private" ] && unpack "$private" && ready "$private"; } ||
      explain "\${cache:-\${private:-a folder in \${TMPDIR:-/tmp}}}"
    trap - HUP INT TERM
  fi
fi
{ true >"$app/used"; } 2>/dev/null
# Deno reads ~/.npmrc, which the program has no use for, and ends where it cannot.
home=\${HOME-}
if [ -z "$home" ] || [ ! -x "$home/." ] || [ -e "$home/.npmrc" ]; then
  [ -d "$home" ] && XDG_CACHE_HOME=\${XDG_CACHE_HOME:-$home/.cache} && export XDG_CACHE_HOME
  HOME=$app
fi
# It would also ask the network for newer versions of itself.
DENO_DIR=$app/cache DENO_NO_UPDATE_CHECK=1
export HOME DENO_DIR DENO_NO_UPDATE_CHECK
exec "$app/${runtime}" ${args.map(quoted).join(" ")} "$@"
exit 126
`;
  // The script tells where it ends, in a number that takes room itself.
  let text = script(0);
  for (let start = 0; start !== byteLength(text) + 1;) {
    start = byteLength(text) + 1;
    text = script(start);
  }
  return text;
}

const byteLength = (text: string): number => new TextEncoder().encode(text).length;

/** A word that the shell takes as it is but for `$app`. */
function quoted(word: string): string {
  return /^[\w./=,:-]+$/.test(word) ? word : `"${word.replace(/["\\`]/g, "\\$&")}"`;
}
