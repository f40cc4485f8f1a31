import assert from 'node:assert/strict';
import os from 'node:os';
import { after, before, describe, test } from 'node:test';
import { Rig } from '../support/rig.js';
import type { Result, RigProject } from '../support/rig.js';

const isLong = process.env['RMTX_LONG_TESTS'] === '1';
const unixOnly = process.platform === 'win32' ? 'signals and shells of Unix' : false;

const ALL_CODES = Array.from({ length: 256 }, (_, code) => code);
/** Small ones, those that rmtx and shells use for themselves, and a few between. */
const SOME_CODES = ALL_CODES.filter(
  (code) => code <= 3 || (code >= 122 && code <= 130) || code % 64 === 0 || code >= 254,
);

/** Those that do something else than end a process by default, signal(7). */
const HARMLESS = new Set(['SIGCHLD', 'SIGCONT', 'SIGURG', 'SIGWINCH']);
const STOPPING = new Set(['SIGSTOP', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU']);
const ALL_SIGNALS = [
  ...new Map(
    Object.entries(os.constants.signals)
      .filter(([name, number]) => number <= 31 && !HARMLESS.has(name) && !STOPPING.has(name))
      .map(([name, number]): [number, string] => [number, name]),
  ).keys(),
].sort((one, other) => one - other);
const SOME_SIGNALS = [1, 2, 3, 6, 9, 11, 13, 15];

const rig = new Rig();
let project: RigProject;
before(async () => {
  project = await rig.project({ 'plain.txt': 'no program' });
});
after(() => rig[Symbol.asyncDispose]());

/** Runs as many at once as keep two cores busy, and returns the results in order. */
async function each<T>(
  cases: readonly T[],
  run: (each: T) => Promise<Result>,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  const left = [...cases.entries()];
  const work = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift())
      results[next[0]] = await run(next[1]);
  };
  await Promise.all([work(), work(), work()]);
  return results;
}

/** What is wrong, one line each: a table is easier to read by its mistakes. */
function mistakes<T>(
  cases: readonly T[],
  results: readonly Result[],
  codeOf: (each: T) => number,
): string[] {
  return cases.flatMap((wanted, index) => {
    const { code, signal, stderr } = results[index] ?? {};
    return code === codeOf(wanted) && signal === null
      ? []
      : [`${String(wanted)}: ${String(code)} ${String(signal)} ${stderr ?? ''}`];
  });
}

describe('exit codes', { skip: unixOnly }, () => {
  test('a command that exits gives its own, verbatim', async () => {
    const codes = isLong ? ALL_CODES : SOME_CODES;
    const results = await each(codes, (code) => project.exec(['sh', '-c', `exit ${code}`]));
    assert.deepEqual(
      mistakes(codes, results, (code) => code),
      [],
    );
    assert.deepEqual(results.map(({ text, stderr }) => text + stderr).join(''), '');
  });

  test('a command that a signal ended gives 128 and its number, and the signal is named', async () => {
    const signals = isLong ? ALL_SIGNALS : SOME_SIGNALS;
    const results = await each(signals, (number) =>
      project.exec(['sh', '-c', `ulimit -c 0; kill -${number} $$; sleep 5`]),
    );
    assert.deepEqual(
      mistakes(signals, results, (number) => 128 + number),
      [],
    );
    // Of a broken pipe and of Ctrl-C everybody knows.
    const isSilent = (number: number): boolean => [2, 13].includes(number);
    for (const [index, { stderr }] of results.entries())
      assert.match(
        stderr,
        isSilent(signals[index] ?? 0) ? /^$/ : /^rmtx: sh was ended by SIG[A-Z0-9]+$/m,
      );
  });

  test('stopping and harmless signals do not end a command', async () => {
    const script =
      'for each in CHLD CONT URG WINCH TSTP TTIN TTOU; do kill -$each $$; done; exit 6';
    assert.equal((await project.sh(script)).code, 6);
  });

  test('124 to 130 tell what rmtx has to say', async () => {
    const cases: [string, () => Promise<Result>, number, RegExp][] = [
      ['124', () => project.sh('sleep 60', { flags: ['--timeout', '300ms'] }), 124, /--timeout/],
      [
        '124 of a command that exits when it is asked to end',
        () =>
          project.sh('trap "exit 0" INT; while :; do sleep 0.05; done', {
            flags: ['--timeout', '300ms'],
          }),
        124,
        /--timeout/,
      ],
      ['125', () => project.exec(['true'], { flags: ['--host', '127.0.0.1:1'] }), 125, /error: /],
      ['126', () => project.exec(['./plain.txt']), 126, /plain\.txt/],
      ['126 of a directory', () => project.exec(['/tmp']), 126, /\/tmp/],
      ['127', () => project.exec(['no-such-program']), 127, /no-such-program/],
      ['127 of a path', () => project.exec(['./missing']), 127, /missing/],
      ['130', () => interrupted('sleep 60'), 130, /asking the command to end/],
      ['its own after Ctrl-C', () => interrupted(TRAP), 77, /asking the command to end/],
    ];
    const results = await each(cases, ([, run]) => run());
    for (const [index, [what, , code, says]] of cases.entries()) {
      const { code: actual, stderr = '' } = results[index] ?? {};
      assert.equal(actual, code, `${what}: ${stderr}`);
      assert.match(stderr, says);
    }
  });
});

const TRAP = 'trap "exit 77" INT; while :; do sleep 0.05; done';

async function interrupted(script: string): Promise<Result> {
  const running = project.client.start(
    ['exec', '--', 'sh', '-c', `trap : USR1; echo ready; ${script}`],
    { cwd: project.root },
  );
  await running.says(/ready/);
  running.child.kill('SIGINT');
  return running.ended;
}

const SHORT_RUNS = isLong ? 500 : 25;

test(`the output of a short command is never lost (${SHORT_RUNS} runs)`, async () => {
  const runs = Array.from({ length: SHORT_RUNS }, (_, run) => run);
  const results = await each(runs, () => project.sh('echo a; echo b >&2'));
  assert.deepEqual(
    results.filter(({ text, stderr, code }) => text !== 'a\n' || stderr !== 'b\n' || code !== 0),
    [],
  );
});
