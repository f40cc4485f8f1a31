/**
 * Finds the file that a command's name means, as `execvp` would: along the PATH of the command's own
 * environment and relative to its own directory, before anything is started. So that "not found"
 * (127) and "found, but cannot be executed" (126) are told apart and can say what was searched.
 */
import {
  accessSync,
  closeSync,
  constants,
  openSync,
  readSync,
  readdirSync,
  statSync,
} from 'node:fs';
import path from 'node:path';
import { assertNever } from '../util/never.js';

/** What `execvp` searches where the environment has no PATH (confstr _CS_PATH). */
const DEFAULT_PATH = '/bin:/usr/bin';

export type CommandLookup =
  /** `file` always holds a slash; a relative one counts from `cwd`. */
  | { readonly kind: 'found'; readonly file: string }
  | { readonly kind: 'not-found'; readonly searched: string }
  | { readonly kind: 'not-executable'; readonly reason: string };

export interface LookupQuery {
  readonly name: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Never throws. On the PATH a directory and what cannot be seen are passed over; both are told where
 * the command was named by its path.
 */
export function lookUpCommand({ name, cwd, env }: LookupQuery): CommandLookup {
  if (process.platform === 'win32') return { kind: 'found', file: name };
  if (name.includes('/')) return judgeNamedPath(name, cwd);
  const searched = env['PATH'] ?? DEFAULT_PATH;
  if (name === '') return { kind: 'not-found', searched };
  let refused: CommandLookup | undefined;
  for (const directory of searched.split(':')) {
    // An empty element is the current directory (POSIX, 8.3).
    const file = `${directory === '' ? '.' : directory}/${name}`;
    const state = stateOf(path.resolve(cwd, file));
    if (state === 'executable') return judgeFormat(file, cwd);
    if (state === 'not-permitted') refused ??= notExecutable(`${file}: permission denied`);
  }
  return refused ?? { kind: 'not-found', searched };
}

function judgeNamedPath(file: string, cwd: string): CommandLookup {
  const absolute = path.resolve(cwd, file);
  const state = stateOf(absolute);
  switch (state) {
    case 'executable':
      return judgeFormat(file, cwd);
    case 'missing':
      return { kind: 'not-found', searched: absolute };
    case 'directory':
      return notExecutable(`${file} is a directory`);
    case 'hidden':
    case 'not-permitted':
      return notExecutable(`${file}: permission denied`);
    default:
      return assertNever(state);
  }
}

type FileState = 'executable' | 'missing' | 'directory' | 'hidden' | 'not-permitted';

/** `hidden`: a directory on the way cannot be entered, or leads in a circle. */
function stateOf(absolute: string): FileState {
  try {
    const stats = statSync(absolute, { throwIfNoEntry: false });
    if (stats === undefined) return 'missing';
    if (stats.isDirectory()) return 'directory';
  } catch {
    return 'hidden';
  }
  try {
    accessSync(absolute, constants.X_OK);
    return 'executable';
  } catch {
    return 'not-permitted';
  }
}

function judgeFormat(file: string, cwd: string): CommandLookup {
  if (process.platform === 'linux' && isForeignBinary(path.resolve(cwd, file)))
    return notExecutable(`${file}: not a program for this machine (exec format error)`);
  return { kind: 'found', file };
}

function notExecutable(reason: string): CommandLookup {
  return { kind: 'not-executable', reason };
}

/**
 * Text without `#!` is run by /bin/sh, as every shell, `env` and `execvp` do: the kernel refuses it
 * (ENOEXEC) and the C library of most systems then starts the shell itself. It does the same with a
 * binary that the kernel refused, and the shell then prints nonsense; so a binary that this kernel
 * cannot know is refused here, by the rule of bash: a NUL byte in the first line.
 */
function isForeignBinary(absolute: string): boolean {
  const head = readHead(absolute);
  if (head === undefined || head.subarray(0, 2).equals(SHEBANG)) return false;
  const isElf = head.subarray(0, 4).equals(ELF_MAGIC);
  if (isElf && isElfOfThisMachine(head)) return false;
  return (isElf || !isText(head)) && !hasForeignFormats();
}

const SHEBANG = Buffer.from('#!');
const ELF_MAGIC = Buffer.from('\x7fELF');
const HEAD_BYTES = 256;
/** e_machine by the kernel that runs it natively: x86-64 also runs i386, arm64 also arm. */
const COMPATIBLE_MACHINES = new Map([
  [62, [62, 3]],
  [183, [183, 40]],
]);

/** True when the file is text that /bin/sh may be given. False where it cannot be read. */
export function isShellText(absolute: string): boolean {
  const head = readHead(absolute);
  return head !== undefined && isText(head);
}

function isText(head: Buffer): boolean {
  const newline = head.indexOf(10);
  return !head.subarray(0, newline < 0 ? head.length : newline).includes(0);
}

function isElfOfThisMachine(head: Buffer): boolean {
  const own = readHead('/proc/self/exe');
  if (own === undefined || own.length < 20) return true;
  if (head.length < 20 || head[5] !== own[5]) return false;
  const machineOf = (bytes: Buffer): number =>
    bytes[5] === 2 ? bytes.readUInt16BE(18) : bytes.readUInt16LE(18);
  const machine = machineOf(own);
  return (COMPATIBLE_MACHINES.get(machine) ?? [machine]).includes(machineOf(head));
}

/** True where the kernel was taught other formats (qemu, Wine …): then it has to decide. */
function hasForeignFormats(): boolean {
  try {
    return readdirSync('/proc/sys/fs/binfmt_misc').some(
      (name) => name !== 'register' && name !== 'status',
    );
  } catch {
    return false;
  }
}

/** The first bytes, or undefined where it may be executed but not read. */
function readHead(absolute: string): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(absolute, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    return head.subarray(0, readSync(fd, head, 0, HEAD_BYTES, 0));
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}
