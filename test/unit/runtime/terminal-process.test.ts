import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { cpSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startTerminalProcess } from '../../../src/runtime/terminal-process.js';
import { bytesOf, isRunning, specOf, temporaryDirectory } from '../../support/commands.js';
import {
  CTRL_BACKSLASH,
  CTRL_C,
  CTRL_Z,
  runOnTerminal,
  startOnTerminal,
} from '../../support/terminals.js';

const MIB = 1024 * 1024;
const terminal = { columns: 90, rows: 33, term: 'xterm-256color' };

for (const [script, exit] of [
  ['exit 0', { kind: 'exited', code: 0 }],
  ['exit 255', { kind: 'exited', code: 255 }],
  ['kill -KILL $$', { kind: 'signalled', signal: 'SIGKILL', number: 9 }],
  ['kill -USR1 $$', { kind: 'signalled', signal: 'SIGUSR1', number: 10 }],
] as const)
  test(`tells the end of "${script}" on a terminal`, async () => {
    assert.deepEqual((await runOnTerminal(['sh', '-c', script])).exit, exit);
  });

test('gives the command a terminal on all three streams, and shows all on one', async () => {
  const { stdout, stderr, cut } = await runOnTerminal([
    'sh',
    '-c',
    'test -t 0 && test -t 1 && test -t 2 && tty >/dev/tty; stty size; echo $TERM; echo oops >&2',
  ]);
  assert.match(stdout.toString(), /^\/dev\/\S+\r\n33 90\r\nxterm-256color\r\noops\r\n$/);
  assert.deepEqual([stderr.length, cut], [0, []]);
});

test('hands argv, directory and environment over exactly, and no descriptor but three', async (t) => {
  const args = ['', ' two  spaces ', '$HOME', 'new\nline', '–ü😀', '\x01'];
  const printed = await runOnTerminal(['./print-argv.mjs', ...args]);
  assert.deepEqual(JSON.parse(printed.stdout.toString()), args);

  const cwd = temporaryDirectory(t);
  assert.equal((await runOnTerminal(['pwd'], { cwd })).stdout.toString(), `${cwd}\r\n`);

  const env = { A: '1', B: '', TERM: 'dumb', RMTX_RUN_ID: 'forged' };
  const { stdout } = await runOnTerminal(['/usr/bin/env', '-0'], { env, runId: 'run-t' });
  assert.deepEqual(stdout.toString().split('\0').filter(Boolean).sort(), [
    'A=1',
    'B=',
    'RMTX_RUN_ID=run-t',
    'TERM=xterm-256color',
  ]);
});

test('leaves no descriptor of one terminal in the command of another', async (t) => {
  const first = await startOnTerminal(t, ['sh', '-c', 'echo up; read line']);
  await first.shows(/up/);
  const { stdout } = await runOnTerminal(['sh', '-c', 'ls -l /proc/$$/fd']);
  assert.doesNotMatch(stdout.toString(), /ptmx/);
  first.type('\n');
  await first.finished;
});

test('tells what cannot be started', async (t) => {
  const file = path.join(temporaryDirectory(t), 'script');
  writeFileSync(file, '#!/nonexistent/interpreter\n', { mode: 0o755 });
  const refused = await runOnTerminal([file]);
  assert.deepEqual(refused.exit, { kind: 'not-executable', reason: 'No such file or directory' });
  assert.equal(refused.stdout.length, 0);
  const missing = await runOnTerminal(['no-such-command'], { env: { PATH: '/bin' } });
  assert.deepEqual(missing.exit, { kind: 'not-found', searched: '/bin' });
});

test('says that the package for terminals is missing where it is', async (t) => {
  const elsewhere = temporaryDirectory(t);
  const built = path.resolve(__dirname, '../../../src');
  for (const part of ['errors.js', 'util', 'runtime'])
    cpSync(path.join(built, part), path.join(elsewhere, part), { recursive: true });
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- a copy where no package is near
  const copy = require(path.join(elsewhere, 'runtime/terminal-process.js')) as {
    startTerminalProcess: typeof startTerminalProcess;
  };
  await assert.rejects(copy.startTerminalProcess({ ...specOf(['true']), terminal }), {
    code: 'ERR_RMTX_RUNTIME_UNAVAILABLE',
    message: /@lydell\/node-pty is not installed/,
  });
});

test('follows the size of the window', async (t) => {
  const shell = await startOnTerminal(t, ['sh', '-c', 'echo up; read line; stty size']);
  await shell.shows(/up/);
  shell.command.resize?.({ columns: 123, rows: 45 });
  shell.type('\n');
  await shell.shows(/45 123\r\n/);
  await shell.finished;
});

test('tells the command at once that the size has changed, and survives absurd ones', async (t) => {
  const script = 'trap "stty size; exit" WINCH; sleep 92 & echo up; wait';
  const shell = await startOnTerminal(t, ['bash', '-c', script]);
  await shell.shows(/up/);
  shell.command.resize?.({ columns: 1e9, rows: -3 });
  await shell.shows(/1 65535\r\n/);
  await shell.finished;
  shell.command.resize?.({ columns: 10, rows: 10 });
});

test('keeps the last byte of short runs', { timeout: 300_000 }, async () => {
  const count = process.env['RMTX_LONG_TESTS'] === '1' ? 1000 : 12;
  let started = 0;
  const lane = async (): Promise<void> => {
    while (started < count) {
      const id = `${(started += 1)}`;
      const length = started % 3 === 0 ? 20_000 : started % 3 === 1 ? 1 : 5000;
      const script = `printf "%0${length}d" ${id}; printf "END %s" ${id}`;
      const { stdout, exit } = await runOnTerminal(['sh', '-c', script]);
      assert.equal(stdout.toString(), `${id.padStart(length, '0')}END ${id}`);
      assert.deepEqual(exit, { kind: 'exited', code: 0 });
    }
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
});

test('keeps what is read late', async () => {
  const command = await startTerminalProcess({
    ...specOf(['sh', '-c', 'head -c 120000 /dev/zero | tr "\\0" x; printf END']),
    terminal,
  });
  const exit = await command.leaderExit;
  assert.deepEqual(exit, { kind: 'exited', code: 0 });
  const output = bytesOf(command.stdout);
  command.stderr.resume();
  await command.sweep();
  await command.finishOutput();
  assert.equal((await output).toString(), `${'x'.repeat(120_000)}END`);
});

test('turns Ctrl-C and Ctrl-\\ into signals to the foreground', async (t) => {
  for (const [key, number] of [
    [CTRL_C, 2],
    [CTRL_BACKSLASH, 3],
  ] as const) {
    const sleeper = await startOnTerminal(t, ['sh', '-c', 'echo up; exec sleep 99']);
    await sleeper.shows(/up/);
    sleeper.type(key);
    const { exit } = await sleeper.finished;
    assert.equal(exit.kind === 'signalled' && exit.number, number);
  }
});

test('has job control: Ctrl-Z, fg and Ctrl-C in bash', async (t) => {
  const bash = await startOnTerminal(t, ['bash', '--norc', '--noprofile', '-i'], {
    env: { PATH: process.env['PATH'] ?? '', PS1: 'ready> ', HOME: temporaryDirectory(t) },
  });
  await bash.shows(/ready> /);
  bash.type(`sh -c 'echo be""gun; exec cat'\n`);
  await bash.shows(/begun\r\n/);
  bash.type(CTRL_Z);
  await bash.shows(/Stopped\s[^]*ready> /);
  bash.type('fg\n');
  await bash.shows(/fg\r\n[^]*exec cat'\r\n/);
  bash.type('typed\n');
  await bash.shows(/typed\r\ntyped\r\n/);
  bash.type(CTRL_C);
  await bash.shows(/ready> /);
  bash.type('echo code=$?; exit 7\n');
  await bash.shows(/code=130\r\n/);
  assert.deepEqual((await bash.finished).exit, { kind: 'exited', code: 7 });
});

test('types Ctrl-D at the end of the input', async (t) => {
  const cat = await startOnTerminal(t, ['cat']);
  cat.type('whole line\nbegun line');
  cat.command.stdin?.end();
  const { exit, stdout } = await cat.finished;
  assert.deepEqual(exit, { kind: 'exited', code: 0 });
  // Echoed, and repeated by cat.
  assert.equal(stdout.toString().split('whole line\r\n').length, 3);
  assert.match(stdout.toString(), /begun line.*begun line$/s);
});

test('takes a paste of 1 MiB whole, echo included', async (t) => {
  const file = path.join(temporaryDirectory(t), 'pasted');
  const lines = Array.from({ length: 14_000 }, (_, i) => `${i} `.padEnd(74, 'x')).join('\n') + '\n';
  const cat = await startOnTerminal(t, ['sh', '-c', `echo up; cat > ${file}`]);
  await cat.shows(/up\r\n/);
  cat.command.stdin?.end(lines);
  const { stdout } = await cat.finished;
  assert.equal(readFileSync(file, 'utf8'), lines);
  assert.equal(stdout.toString().slice('up\r\n'.length), lines.replaceAll('\n', '\r\n'));
});

test('carries any bytes both ways once the command has made the terminal raw', async (t) => {
  const bytes = randomBytes(MIB);
  const script = `stty raw -echo; echo up; head -c ${MIB}`;
  const back = await startOnTerminal(t, ['sh', '-c', script]);
  await back.shows(/up\n/);
  for (let at = 0; at < MIB; at += 70_001) back.type(bytes.subarray(at, at + 70_001));
  const { stdout } = await back.finished;
  assert.equal(sha256(stdout.subarray('up\n'.length)), sha256(bytes));
});

test('is not held up by a command that reads nothing', async (t) => {
  const script = 'stty raw -echo; echo up; sleep 0.2; seq 20000; echo done';
  const busy = await startOnTerminal(t, ['sh', '-c', script]);
  await busy.shows(/up\n/);
  busy.type(randomBytes(4 * MIB));
  await busy.shows(/\n20000\ndone\n/);
  assert.deepEqual((await busy.finished).exit, { kind: 'exited', code: 0 });
});

test('sweeps what the command leaves behind on its terminal', async (t) => {
  const script =
    'trap "" HUP; setsid sh -c "trap : TERM; echo up; sleep 96" & sleep 95 & read line; exit 4';
  const shell = await startOnTerminal(t, ['sh', '-c', script]);
  await shell.shows(/up/);
  shell.type('\n');
  const { exit, swept, cut } = await shell.finished;
  assert.deepEqual(exit, { kind: 'exited', code: 4 });
  assert.ok(swept.killed >= 2, String(swept.killed));
  assert.deepEqual([swept.survivors, cut], [0, []]);
});

test('hangs up where nobody looks any more', async (t) => {
  const sleeper = await startOnTerminal(t, ['sh', '-c', 'echo up; exec sleep 94']);
  await sleeper.shows(/up/);
  sleeper.command.closeOutput('stdout');
  assert.deepEqual(await sleeper.command.leaderExit, {
    kind: 'signalled',
    signal: 'SIGHUP',
    number: 1,
  });
});

test(
  'ends with the process that keeps the terminal, and that one with the run',
  {
    timeout: 10_000,
  },
  async (t) => {
    const before = keepers();
    const sleeper = await startOnTerminal(t, ['sh', '-c', 'echo up; exec sleep 93']);
    await sleeper.shows(/up/);
    const [keeper = 0] = keepers().filter((pid) => !before.includes(pid));
    process.kill(keeper, 'SIGTERM');
    process.kill(keeper, 'SIGKILL');
    assert.deepEqual(await sleeper.command.leaderExit, {
      kind: 'signalled',
      signal: 'SIGHUP',
      number: 1,
    });
    await sleeper.finished;
    assert.equal(isRunning(sleeper.command.pid ?? 0), false);
    await runOnTerminal(['true']);
    while (keepers().length > 0) await delay(5);
  },
);

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Of this process; those that have ended and are not reaped yet do not count. */
function keepers(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => isRunning(pid) && isKeeper(pid));
}

function isKeeper(pid: number): boolean {
  try {
    const isOurs = readFileSync(`/proc/${pid}/status`, 'utf8').includes(`PPid:\t${process.pid}\n`);
    return isOurs && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('terminal-keeper');
  } catch {
    return false;
  }
}
