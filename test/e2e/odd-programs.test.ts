import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { COMMANDS } from '../support/commands.js';
import { Rig } from '../support/rig.js';
import type { RigProject } from '../support/rig.js';

const linuxOnly = existsSync('/proc/self/stat') ? false : 'needs /proc';

interface OddProgram {
  readonly command: readonly string[];
  /** Of stdin; undefined: /dev/null. */
  readonly input?: Buffer;
  readonly env?: Readonly<Record<string, string>>;
  /** What it must print, where the local run could be wrong in the same way. */
  readonly stdout?: string | RegExp;
  /** In the place of the local run's, where rmtx differs on purpose or that cannot be had. */
  readonly differs?: { readonly stdout?: string; readonly stderr?: string; readonly code?: number };
  readonly isOnlyThere?: boolean;
}

interface Ended {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly code: number;
}

/** As a shell starts it in a pipeline: with real pipes, nothing else open, and no terminal. */
const LOCALLY = `
out=$1 err=$2 code=$3 input=$4; shift 4
{ cat "$input" 2>/dev/null | {
    if [ "$input" = /dev/null ]; then exec </dev/null; fi
    { "$@" 2>&4 3>&- 4>&-; echo $? >"$code"; } 2>/dev/null | cat >"$out" 4>&-
  } 4>&3
} 3>&1 | cat >"$err"`;

async function runLocally(project: RigProject, odd: OddProgram): Promise<Ended> {
  const { rig } = project.client;
  const directory = rig.newDirectory('local');
  const cwd = path.join(directory, 'project');
  cpSync(COMMANDS, cwd, { recursive: true });
  const file = (name: string): string => path.join(directory, name);
  if (odd.input !== undefined) writeFileSync(file('input'), odd.input);
  const input = odd.input === undefined ? '/dev/null' : file('input');
  // A shell does not pass on names that are none of its own.
  const env = Object.entries(odd.env ?? {}).map(([name, value]) => `${name}=${value}`);
  const command = env.length === 0 ? odd.command : ['env', ...env, ...odd.command];
  const files = [file('out'), file('err'), file('code'), input];
  const child = spawn('sh', ['-c', LOCALLY, 'sh', ...files, ...command], {
    cwd,
    env: { PATH: process.env['PATH'], LANG: 'C.UTF-8', HOME: directory },
    stdio: 'ignore',
    detached: true,
  });
  await once(child, 'exit');
  return {
    stdout: readFileSync(file('out')),
    stderr: readFileSync(file('err')),
    code: Number(readFileSync(file('code'), 'utf8')),
  };
}

async function runThroughRmtx(project: RigProject, odd: OddProgram): Promise<Ended> {
  const env = Object.entries(odd.env ?? {}).flatMap(([name, value]) => [
    '--env',
    `${name}=${value}`,
  ]);
  const running = project.client.start(['exec', ...env, '--', ...odd.command], {
    cwd: project.root,
    stdio: [odd.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  const stderr: Buffer[] = [];
  running.child.stderr?.on('data', (piece: Buffer) => stderr.push(piece));
  // A command may leave the rest unread.
  running.child.stdin?.on('error', () => undefined);
  running.child.stdin?.end(odd.input);
  const { code, stdout } = await running.ended;
  return { stdout, stderr: Buffer.concat(stderr), code: code ?? -1 };
}

const noise = randomBytes(1_000_000);
const lines = Buffer.from('one\ntwo\nthree\nfour');
const ODD_NAMES = {
  'with.dot': '1',
  'with-dash': '2',
  ünïcode: '3',
  '1digit': '4',
  lower: '5',
  'with space': '6',
  EMPTY: '',
  LINES: 'a\nb\n',
  EQUALS: 'a=b=c',
  QUOTES: `'"\\$HOME`,
  LONG: 'v'.repeat(50_000),
};
const ODD_ARGUMENTS = [
  '',
  '',
  ' ',
  '\n',
  'new\nline\n',
  `"double" 'single' \`back\``,
  '$HOME ${PATH} $(id) %PATH%',
  '\\ \\\\ \\n',
  '* ? [a-z] {a,b} ~',
  '-- -x --env=A=B',
  'ünïcödé 日本語 😀 e\u0301',
  '\u202Ereversed',
  '\x01\x07\x1B[31m\x7F',
  '!history #comment ;semicolon &background |pipe >file',
  'x'.repeat(100_000),
];

const programs: Record<string, OddProgram> = {
  'prints nothing': { command: ['./print-nothing.sh'], stdout: '' },
  'prints without a last newline': {
    command: ['./print-without-newline.sh'],
    stdout: 'first line\nno newline',
  },
  'alternates between its streams': { command: ['./interleave-streams.mjs'] },
  'closes its stdout and goes on': { command: ['./close-stdout.sh'], stdout: 'before\n' },
  'closes its stderr and goes on': { command: ['./close-stderr.sh'], stdout: /^after [12]\n$/ },
  'reads a part of its stdin': {
    command: ['./read-a-part.sh'],
    input: noise,
    stdout: noise.toString('latin1', 0, 10),
  },
  'reads its stdin line by line': { command: ['./read-two-lines.sh'], input: lines },
  'speaks once its stdin has ended': {
    command: ['./print-after-eof.sh'],
    input: noise,
    stdout: 'stdin has ended\n',
  },
  'has no stdin and waits for its end': { command: ['./print-after-eof.sh'] },
  'has an empty stdin': { command: ['./digest-stdin.mjs'], input: Buffer.alloc(0), stdout: /^0 / },
  'reads a megabyte': { command: ['./digest-stdin.mjs'], input: noise, stdout: /^1000000 / },
  'copies a megabyte': { command: ['cat'], input: noise, stdout: noise.toString('latin1') },
  'does not look at its stdin': { command: ['./exit-with.sh', '4'], input: noise },
  'ignores SIGPIPE': { command: ['./ignore-sigpipe.sh'], stdout: 'done\n' },
  'relies on SIGPIPE': { command: ['./die-of-sigpipe.sh'], stdout: 'endless\nendless\n' },
  'ends while a child goes on': {
    command: ['./leave-child-writing.sh'],
    differs: { stdout: 'in time\n' },
  },
  'starts a daemon': { command: ['./start-daemon.sh'], stdout: 'started\n' },
  'changes its title': { command: ['./change-title.mjs'], stdout: 'odd title' },
  'prints a line of 3 MiB': { command: ['./print-huge-line.mjs'] },
  'prints every byte': { command: ['./print-every-byte.mjs'] },
  'prints zeros': { command: ['./print-nul-bytes.sh'] },
  'prints characters byte by byte': {
    command: ['./print-split-characters.mjs'],
    stdout: Buffer.from('ä€😀'.repeat(20)).toString('latin1'),
  },
  'prints what terminals act on': { command: ['./print-escapes.sh'] },
  'prints slowly': { command: ['./write-slowly.sh'], stdout: 'abcde\n' },
  'prints 10 MB to stderr': { command: ['./write-much-to-stderr.sh'], stdout: '' },
  'prints much on both streams': { command: ['./write-both-streams-fast.mjs'] },
  'shares a stdout that became non-blocking': { command: ['./share-nonblocking-stdout.sh'] },
  'swaps its streams': { command: ['./swap-streams.sh'], stdout: 'to stdout\n' },
  'looks for a fourth descriptor': { command: ['./use-third-descriptor.sh'] },
  'opens its streams by name': { command: ['./use-device-files.sh'], input: lines },
  'opens its streams by name, without stdin': { command: ['./use-device-files.sh'] },
  'opens its stdin again and again': {
    command: ['./open-stdin-again.sh'],
    input: Buffer.from('0123'),
    stdout: '0123',
  },
  'looks for a terminal': { command: ['./open-terminal.sh'], stdout: 'not a tty\n' },
  'works 40 directories down': { command: ['./go-deep.sh'] },
  'goes on in a directory that is gone': { command: ['./remove-own-directory.sh'] },
  'is given odd arguments': {
    command: ['./print-argv.mjs', ...ODD_ARGUMENTS],
    stdout: Buffer.from(JSON.stringify(ODD_ARGUMENTS)).toString('latin1'),
  },
  'is given odd variables': {
    command: ['./print-environment.mjs', ...Object.keys(ODD_NAMES)],
    env: ODD_NAMES,
    stdout: Buffer.from(`${JSON.stringify(Object.entries(ODD_NAMES))}\n`).toString('latin1'),
  },
  'looks at its signal masks': { command: ['./print-signal-masks.sh'] },
  'has the last word in a trap': { command: ['./exit-in-trap.sh'], stdout: 'last words\n' },
  'becomes another program': { command: ['./become-another.sh'], stdout: 'another\n' },
  'has no interpreter line': { command: ['./script-without-shebang', 'a', 'b'] },
  aborts: {
    command: ['./end-by-own-abort.mjs'],
    stdout: 'about to abort',
    differs: { stderr: 'rmtx: ./end-by-own-abort.mjs was ended by SIGABRT\n' },
  },
  crashes: { command: ['./crash.mjs'], stdout: 'before' },
  'signals its own group': {
    command: ['./signal-own-group.sh'],
    isOnlyThere: true,
    differs: { stderr: 'rmtx: ./signal-own-group.sh was ended by SIGTERM\n', code: 143 },
  },
  'tries to stop itself': { command: ['./stop-itself-in-vain.sh'], stdout: 'goes on\n' },
};

describe('a program that', { skip: linuxOnly }, () => {
  const rig = new Rig();
  let project: RigProject;
  before(async () => {
    project = await rig.project();
    cpSync(COMMANDS, project.root, { recursive: true });
  });
  after(() => rig[Symbol.asyncDispose]());

  for (const [what, odd] of Object.entries(programs))
    test(`${what} does so there as here`, async () => {
      const [here, there] = await Promise.all([
        odd.isOnlyThere === true ? NOTHING : runLocally(project, odd),
        runThroughRmtx(project, odd),
      ]);
      const { code = here.code, stdout, stderr } = odd.differs ?? {};
      assert.equal(there.code, code, there.stderr.toString('latin1').slice(0, 2000));
      assertEqualBytes(there.stderr, stderr ?? here.stderr);
      assertEqualBytes(there.stdout, stdout ?? here.stdout);
      if (typeof odd.stdout === 'string') assertEqualBytes(there.stdout, odd.stdout);
      if (odd.stdout instanceof RegExp) assert.match(there.stdout.toString('latin1'), odd.stdout);
    });
});

const NOTHING: Ended = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0), code: 0 };

/** Says where the two part. A string stands for its bytes in Latin-1. */
function assertEqualBytes(actual: Buffer, expected: Buffer | string): void {
  const wanted = typeof expected === 'string' ? Buffer.from(expected, 'latin1') : expected;
  if (actual.equals(wanted)) return;
  let at = 0;
  while (at < actual.length && actual[at] === wanted[at]) at += 1;
  const around = (bytes: Buffer): string =>
    JSON.stringify(bytes.toString('latin1', Math.max(0, at - 20), at + 200));
  assert.fail(
    `${actual.length} bytes, not ${wanted.length}; from byte ${at}: ${around(actual)}, not ${around(wanted)}`,
  );
}
