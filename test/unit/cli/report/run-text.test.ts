import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RunEvent, RunOutcome, RunReport } from '../../../../src/client/run-events.js';
import { RunText } from '../../../../src/cli/report/run-text.js';
import type { RunTextOptions } from '../../../../src/cli/report/run-text.js';

const run: Extract<RunEvent, { type: 'run' }> = {
  type: 'run',
  runId: 'r1',
  host: 'desk',
  address: '192.168.1.42:33221',
  workspace: '/state/workspaces/c1/0',
  isCold: false,
  slot: 0,
};

const done: RunReport = {
  runId: 'r1',
  outcome: { kind: 'exited', code: 0 },
  exitCode: 0,
  hasUnapplied: false,
  durationMs: 1234,
  uploadedBytes: 1_500_000,
  downloadedBytes: 300,
  changed: ['out/a', 'out/b'],
  deleted: ['old'],
  conflicts: [],
  problems: [],
};

const steps: RunEvent[] = [
  { type: 'notice', code: 'host-rule', message: 'the only paired host', level: 'info' },
  { type: 'step', step: 'scan', state: 'start', elapsedMs: 0 },
  { type: 'step', step: 'scan', state: 'end', elapsedMs: 120, detail: '10,000 files' },
  run,
  { type: 'step', step: 'run', state: 'start', elapsedMs: 150 },
  { type: 'exit', outcome: { kind: 'exited', code: 0 } },
  { type: 'step', step: 'run', state: 'end', elapsedMs: 1150 },
];

function textOf(
  events: readonly RunEvent[],
  report?: RunReport,
  how: Partial<RunTextOptions> = {},
): string {
  let text = '';
  const reporter = new RunText({
    write: (piece) => void (text += piece),
    isVerbose: false,
    isQuiet: false,
    isTerminal: false,
    canErase: true,
    columns: () => 80,
    now: () => 0,
    command: ['make', '-j'],
    ...how,
  });
  for (const event of events) reporter.onEvent(event);
  if (report === undefined) reporter.stop();
  else reporter.finish(report);
  return text;
}

test('a good run says nothing, on a terminal as in a pipe', () => {
  assert.equal(textOf(steps, done), '');
  assert.equal(textOf(steps, done, { isTerminal: true }), '');
});

test('-v tells the steps with their times', () => {
  assert.equal(
    textOf(steps, done, { isVerbose: true }),
    `rmtx: host chosen by: the only paired host
rmtx: scanned in 120ms: 10,000 files
rmtx: run r1 on desk (192.168.1.42:33221), warm workspace /state/workspaces/c1/0, slot 0
rmtx: ran in 1s
rmtx: exit code 0 after 1.2s, sent 1.5MB, received 300B, 2 paths changed, 1 deleted
`,
  );
});

test('a run that starts beside another one says that it is cold', () => {
  const second = { ...run, isCold: true, slot: 1 };
  const said = "rmtx: another run has this project's workspace, so this one starts in a new one\n";
  assert.equal(textOf([second], done, { isTerminal: true }), said);
  assert.equal(textOf([second], done), '');
  assert.equal(textOf([{ ...run, isCold: true }], done, { isTerminal: true }), '');
});

test('conflicts are said whatever -q says', () => {
  const conflict: RunEvent = {
    type: 'conflict',
    path: 'src/\u001b[31mx',
    keptTheirsAs: 'src/x.rmtx-conflict-r1',
    description: "changed here and by the run: yours stays; the run's is src/x.rmtx-conflict-r1",
  };
  const said =
    "rmtx: conflict: src/\\x1b[31mx: changed here and by the run: yours stays; the run's is src/x.rmtx-conflict-r1\n";
  assert.equal(textOf([conflict], done), said);
  assert.equal(textOf([conflict], done, { isQuiet: true }), said);
});

test('problems are warnings, and many are cut short', () => {
  const problem = (index: number): RunEvent => ({
    type: 'problem',
    path: `f${index}`,
    code: 'unreadable',
    message: 'permission denied',
  });
  const many = Array.from({ length: 13 }, (_, index) => problem(index));
  const lines = textOf(many, done).split('\n');
  assert.equal(lines[0], 'rmtx: warning: f0: permission denied');
  assert.equal(lines[10], 'rmtx: and 3 more problems; --report FILE lists them all');
  assert.equal(textOf(many, done, { isQuiet: true }), '');
});

test('what could not be applied is said, whatever -q and the exit code say', () => {
  const held = { path: 'gone', code: 'held-back', message: 'one of 302 deletions' };
  const report = { ...done, exitCode: 3, hasUnapplied: true, problems: [held] };
  const events: RunEvent[] = [{ type: 'problem', ...held }];
  const said = 'rmtx: warning: gone: one of 302 deletions\n';
  assert.equal(textOf(events, report), said);
  assert.equal(textOf(events, report, { isQuiet: true }), said);
  const many = { ...report, problems: Array.from({ length: 12 }, () => held) };
  const lines = textOf([], many, { isQuiet: true }).split('\n');
  assert.equal(lines[10], 'rmtx: and 2 more problems; --report FILE lists them all');
});

test('a socket in the project is only mentioned to somebody who looks on', () => {
  const socket: RunEvent = {
    type: 'problem',
    path: 's',
    code: 'special-file',
    message: 'a socket',
  };
  assert.equal(textOf([socket], done), '');
  assert.equal(textOf([socket], done, { isTerminal: true }), 'rmtx: warning: s: a socket\n');
});

test('warnings are said unless -q, other notices only to somebody who looks on', () => {
  const warning: RunEvent = {
    type: 'notice',
    code: 'output-cut',
    message: 'the output was cut',
    hint: 'close it',
    level: 'warning',
  };
  const info: RunEvent = {
    type: 'notice',
    code: 'swept',
    message: '3 processes were ended',
    level: 'info',
  };
  const interrupt: RunEvent = {
    type: 'notice',
    code: 'interrupt',
    message: 'asking',
    level: 'warning',
  };
  assert.equal(
    textOf([warning, info, interrupt], done),
    'rmtx: warning: the output was cut\nrmtx: hint: close it\nrmtx: asking\n',
  );
  assert.equal(
    textOf([info], done, { isVerbose: true }).split('\n')[0],
    'rmtx: 3 processes were ended',
  );
  assert.equal(textOf([warning, interrupt], done, { isQuiet: true }), '');
});

test('how the command ended is said where the exit code alone does not', () => {
  const said = (outcome: RunOutcome, how: Partial<RunTextOptions> = {}): string =>
    textOf([], { ...done, outcome }, how);
  const notFound = { kind: 'not-found', searched: '/usr/bin:/bin', isShellLine: false } as const;
  assert.equal(said({ kind: 'exited', code: 3 }), '');
  assert.equal(said({ kind: 'interrupted', signal: 'SIGINT' }), '');
  assert.equal(said({ kind: 'signalled', signal: 'SIGPIPE', number: 13 }), '');
  assert.equal(
    said({ kind: 'signalled', signal: 'SIGSEGV', number: 11 }),
    'rmtx: make was ended by SIGSEGV\n',
  );
  assert.equal(
    said({ kind: 'timed-out' }, { timeoutMs: 90_000 }),
    'rmtx: error: make was ended after 1m30s (--timeout)\n',
  );
  assert.equal(
    said({ kind: 'not-executable', reason: 'permission denied' }),
    'rmtx: error: cannot execute make on the host: permission denied\n',
  );
  assert.equal(
    said(notFound),
    'rmtx: error: command not found on the host: make (PATH there: /usr/bin:/bin)\n',
  );
  assert.equal(
    said(notFound, { command: [''] }),
    "rmtx: error: command not found on the host: '' (PATH there: /usr/bin:/bin)\n",
  );
  assert.equal(
    said({ ...notFound, isShellLine: true }, { command: ["echo 'a' | wc"] }),
    "rmtx: error: command not found on the host: echo 'a' | wc (PATH there: /usr/bin:/bin)\n" +
      String.raw`rmtx: hint: for a shell line: rmtx exec -- sh -c 'echo '\''a'\'' | wc'` +
      '\n',
  );
});

test('ignored leftovers are one line for somebody who looks on', () => {
  const report = {
    ...done,
    ignoredLeftovers: { count: 1234, bytes: 5_000_000, largestFolder: 'target' },
  };
  assert.equal(textOf([], report), '');
  assert.equal(
    textOf([], report, { isTerminal: true }),
    'rmtx: the run made 1,234 ignored files (5MB, most of it in target), now removed; name them in sync_back to get them, or in keep_on_host to keep them there\n',
  );
  assert.equal(textOf([], report, { isTerminal: true, isQuiet: true }), '');
});

test('the progress line gives way to text and is gone when the command runs', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let nowMs = 0;
  const written: string[] = [];
  const reporter = new RunText({
    write: (piece) => void written.push(piece),
    isVerbose: false,
    isQuiet: false,
    isTerminal: true,
    canErase: true,
    columns: () => 80,
    now: () => nowMs,
    command: ['make'],
  });
  const pass = (ms: number): void => {
    nowMs += ms;
    t.mock.timers.tick(ms);
  };
  reporter.onEvent({ type: 'step', step: 'scan', state: 'start', elapsedMs: 0 });
  pass(1000);
  const scanned = { type: 'progress', step: 'scan', done: 1200, unit: 'files' } as const;
  reporter.onEvent({ ...scanned, sentBytes: 2_000_000 });
  written.length = 0;
  pass(200);
  assert.deepEqual(written, ['\r\u001b[Krmtx: looking for changes: 1,200 files, 2MB sent (1 s)']);
  reporter.onEvent({ type: 'step', step: 'scan', state: 'end', elapsedMs: 1200 });
  reporter.onEvent({ type: 'step', step: 'upload', state: 'start', elapsedMs: 0 });
  pass(1000);
  reporter.onEvent({
    type: 'progress',
    step: 'upload',
    done: 1_000_000,
    total: 4_000_000,
    unit: 'bytes',
  });
  written.length = 0;
  pass(200);
  assert.deepEqual(written.splice(0), ['\r\u001b[Krmtx: sending: 1MB of 4MB (1 s)']);
  reporter.onEvent({ type: 'problem', path: 'f', code: 'unreadable', message: 'no' });
  assert.deepEqual(written.splice(0), ['\r\u001b[K', 'rmtx: warning: f: no\n']);
  pass(200);
  written.length = 0;
  reporter.onEvent({ type: 'step', step: 'upload', state: 'end', elapsedMs: 1400 });
  reporter.onEvent({ type: 'step', step: 'run', state: 'start', elapsedMs: 1400 });
  pass(60_000);
  assert.deepEqual(written, ['\r\u001b[K']);
});

test('nothing is drawn on a dumb terminal, in a pipe, or with -q', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  for (const how of [{ canErase: false }, { isTerminal: false }, { isQuiet: true }]) {
    let nowMs = 0;
    const written: string[] = [];
    const reporter = new RunText({
      write: (piece) => void written.push(piece),
      isVerbose: false,
      isQuiet: false,
      isTerminal: true,
      canErase: true,
      columns: () => 80,
      now: () => nowMs,
      command: ['make'],
      ...how,
    });
    reporter.onEvent({ type: 'step', step: 'scan', state: 'start', elapsedMs: 0 });
    nowMs += 5000;
    t.mock.timers.tick(5000);
    assert.deepEqual(written, []);
  }
});

test('a lost connection is no warning; a short cut is a detail', () => {
  const lost: RunEvent = {
    type: 'notice',
    code: 'connection-lost',
    message: 'connection lost; looking for the host (the run goes on)',
    level: 'warning',
  };
  const short: RunEvent = {
    type: 'notice',
    code: 'connected-again',
    message: 'the connection was lost; connected again after 20ms',
    level: 'detail',
  };
  assert.equal(
    textOf([lost, short]),
    'rmtx: connection lost; looking for the host (the run goes on)\n',
  );
  assert.equal(textOf([lost, short], undefined, { isQuiet: true }), '');
  assert.equal(textOf([short], undefined, { isTerminal: true }), '');
  assert.equal(
    textOf([short], undefined, { isVerbose: true }),
    'rmtx: the connection was lost; connected again after 20ms\n',
  );
});

test('who comes back to a run is told of its command as of one of their own', () => {
  const attached: RunEvent = {
    type: 'attached',
    runId: 'r1',
    host: 'desk',
    address: '192.168.1.42:33221',
    state: 'running',
    command: ['make', 'a\nb'],
  };
  const timedOut: RunReport = { ...done, outcome: { kind: 'timed-out' }, exitCode: 124 };
  assert.equal(
    textOf([attached], timedOut, { command: [] }),
    'rmtx: error: make was ended because its time was up\n',
  );
  assert.match(
    textOf([attached], undefined, { isVerbose: true }),
    /^rmtx: run r1 on desk \(192\.168\.1\.42:33221\) is running: make a\\x0ab$/m,
  );
});
