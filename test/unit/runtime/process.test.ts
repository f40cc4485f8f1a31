import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { startProcess } from '../../../src/runtime/process.js';
import { prepareStreams } from '../../../src/runtime/streams.js';
import {
  bytesOf,
  finish,
  fixture,
  run,
  specOf,
  temporaryDirectory,
  untilPrinted,
} from '../../support/commands.js';

const isLinux = process.platform === 'linux';

for (const code of [0, 1, 42, 255])
  test(`passes exit code ${code} on`, async () => {
    const { exit } = await run(['./exit-with.sh', String(code)]);
    assert.deepEqual(exit, { kind: 'exited', code });
  });

for (const [signal, number] of [
  ['SIGTERM', 15],
  ['SIGKILL', 9],
  ['SIGSEGV', 11],
  ['SIGHUP', 1],
] as const)
  test(`tells that ${signal} ended the command`, async () => {
    const { exit } = await run(['./end-by-signal.sh', signal.slice(3)]);
    assert.deepEqual(exit, { kind: 'signalled', signal, number });
  });

test('hands argv and directory over exactly', async (t) => {
  const args = [
    '',
    ' two  spaces ',
    '"quotes\'',
    '$HOME',
    '*',
    'new\nline',
    '–ü😀',
    '\\',
    '\x01\x1b[0m',
  ];
  const printed = await run(['./print-argv.mjs', ...args]);
  assert.deepEqual(JSON.parse(printed.stdout.toString()), args);

  const cwd = path.join(temporaryDirectory(t), 'a "strange" näme');
  mkdirSync(cwd);
  assert.equal((await run(['pwd'], { cwd })).stdout.toString(), `${cwd}\n`);
});

test('shows the command its name as it was given', async () => {
  const { stdout } = await run(['sh', '-c', 'tr "\\0" "\\n" </proc/$$/cmdline | head -n1']);
  assert.equal(stdout.toString(), 'sh\n');
});

test('gives exactly the environment and the run id', async () => {
  process.env['NODE_V8_COVERAGE'] ??= '';
  const { stdout } = await run(['/usr/bin/env', '-0'], {
    runId: 'run-7',
    env: { A: '1\n2', B: '' },
  });
  assert.deepEqual(stdout.toString().split('\0').filter(Boolean).sort(), [
    'A=1\n2',
    'B=',
    'RMTX_RUN_ID=run-7',
  ]);
});

test('keeps the run id against the environment', async () => {
  const env = { RMTX_RUN_ID: 'forged', PATH: '/usr/bin:/bin' };
  const { stdout } = await run(['env'], { runId: 'run-8', env });
  assert.match(stdout.toString(), /^RMTX_RUN_ID=run-8$/m);
});

for (const [what, spec] of [
  ['a lone surrogate in an argument', { argv: ['echo', 'a\ud800b'] }],
  ['a NUL in an argument', { argv: ['echo', 'a\0b'] }],
  ['a NUL in the environment', { env: { PATH: '/bin', A: '\0' } }],
  ['a directory name that is not UTF-8', { cwd: '/tmp/\udcff' }],
] as const)
  test(`refuses ${what}`, async () => {
    const refused = startProcess({ ...specOf(['echo']), ...spec });
    await assert.rejects(refused, { code: 'ERR_RMTX_COMMAND_NOT_UNICODE' });
  });

test('refuses an empty argv and a missing directory', async () => {
  await assert.rejects(startProcess(specOf([])), { code: 'ERR_RMTX_MISSING_COMMAND' });
  await assert.rejects(startProcess(specOf(['true'], { cwd: '/nonexistent/directory' })), {
    code: 'ERR_RMTX_RUNTIME_UNAVAILABLE',
    message: /\/nonexistent\/directory/,
  });
});

test('tells what was searched for a command that is not there', async () => {
  const unknown = await run(['no-such-command'], { env: { PATH: '/bin:/nonexistent' } });
  assert.deepEqual(unknown.exit, { kind: 'not-found', searched: '/bin:/nonexistent' });
  assert.equal(unknown.stdout.length + unknown.stderr.length, 0);
  assert.deepEqual((await run(['./gone'], { cwd: '/' })).exit, {
    kind: 'not-found',
    searched: '/gone',
  });
});

test('looks the command up in its own PATH, relative to its own directory', async (t) => {
  const cwd = temporaryDirectory(t);
  mkdirSync(path.join(cwd, 'tools'));
  copyFileSync(fixture('exit-with.sh'), path.join(cwd, 'tools', 'mine'));
  for (const PATH of ['tools:/bin', './tools', `${cwd}/tools`])
    assert.deepEqual((await run(['mine', '3'], { cwd, env: { PATH } })).exit, {
      kind: 'exited',
      code: 3,
    });
  const inTools = { cwd: path.join(cwd, 'tools'), env: { PATH: ':/bin' } };
  assert.deepEqual((await run(['mine', '4'], inTools)).exit, { kind: 'exited', code: 4 });
});

test('tells a file that cannot be executed from one that is missing', async (t) => {
  const cwd = temporaryDirectory(t);
  writeFileSync(path.join(cwd, 'plain'), 'echo no\n', { mode: 0o644 });
  writeFileSync(path.join(cwd, 'garbage'), '\x7fELF\0\0\0garbage', { mode: 0o755 });
  writeFileSync(path.join(cwd, 'binary'), Buffer.from([1, 2, 0, 3]), { mode: 0o755 });
  mkdirSync(path.join(cwd, 'directory'));
  symlinkSync('circle', path.join(cwd, 'circle'));
  const env = { PATH: `${cwd}:/usr/bin:/bin` };
  for (const [name, reason] of [
    ['./plain', /permission denied/],
    ['plain', /permission denied/],
    ['./directory', /is a directory/],
    ['./circle', /permission denied/],
    ['./garbage', /exec format error/],
    ['./binary', /exec format error/],
    [fixture('missing-interpreter'), /interpreter or loader is missing/],
  ] as const) {
    const { exit } = await run([name], { cwd, env });
    assert.equal(exit.kind, 'not-executable', name);
    assert.match(exit.reason, reason);
  }
  assert.equal((await run(['directory'], { cwd, env })).exit.kind, 'not-found');
});

test('prefers an executable file further along the PATH', async (t) => {
  const cwd = temporaryDirectory(t);
  writeFileSync(path.join(cwd, 'true'), 'not executable', { mode: 0o644 });
  const { exit } = await run(['true'], { env: { PATH: `${cwd}:/usr/bin:/bin` } });
  assert.deepEqual(exit, { kind: 'exited', code: 0 });
});

test('gives text without an interpreter line to a shell', async () => {
  const { exit, stdout } = await run(['./script-without-shebang', 'this']);
  assert.deepEqual(exit, { kind: 'exited', code: 0 });
  assert.equal(stdout.toString(), 'shell text got this\n');
});

test('says so when the arguments are too long for the system', async () => {
  const { exit } = await run(['true', 'x'.repeat(4_000_000)]);
  assert.deepEqual(exit.kind === 'not-executable' && /too long/.test(exit.reason), true);
});

test(
  'waits while the program is still open for writing elsewhere',
  { skip: !isLinux },
  async (t) => {
    const file = path.join(temporaryDirectory(t), 'fresh');
    copyFileSync('/bin/true', file);
    chmodSync(file, 0o755);
    // The holder says when it has the file open, and lets go of it when its stdin ends.
    const holder = await startProcess(
      specOf(['sh', '-c', 'exec 3>>"$0"; echo open; cat', file], { hasStdin: true }),
    );
    await untilPrinted(holder.stdout, /open/);
    const started = run([file]);
    // Begun later and through with it: so the first attempt has met the open file.
    await run(['true']);
    holder.stdin?.end();
    assert.deepEqual((await started).exit, { kind: 'exited', code: 0 });
    await finish(holder);
  },
);

test('lets the command open its streams by name, stdin also at its end', async () => {
  const { stdout, stderr } = await run(['./use-device-files.sh'], { input: 'some input\n' });
  assert.equal(stdout.toString(), 'to stdout\nsome input\n');
  assert.equal(stderr.toString(), 'to stderr\n');
});

test('gives /dev/null for no stdin', async () => {
  const { stdout } = await run(['sh', '-c', 'readlink /proc/$$/fd/0; cat']);
  assert.equal(stdout.toString(), '/dev/null\n');
});

test('lets no descriptor of the host through', { skip: !isLinux }, async (t) => {
  const scratchDirectory = temporaryDirectory(t);
  const streams = await prepareStreams(scratchDirectory);
  const others = [await prepareStreams(scratchDirectory), await prepareStreams(scratchDirectory)];
  // What this test process itself was started with, from outside, is not the host's.
  const inherited = execFileSync('sh', ['-c', 'ls /proc/$$/fd']).toString();
  const { stdout } = await run(['./list-descriptors.sh'], { streams, scratchDirectory, input: '' });
  const [flags, descriptors] = [/(?:^0\d+\n){3}$/m, /^(?!0\d)\d+$/gm];
  const listed = stdout.toString().match(descriptors) ?? [];
  assert.deepEqual(
    listed.filter((fd) => !inherited.split('\n').includes(fd)).filter((fd) => fd !== '10'),
    [],
  );
  const status = flags.exec(stdout.toString())?.[0].trim().split('\n') ?? [];
  assert.equal(status.length, 3);
  for (const bits of status) assert.equal(Number.parseInt(bits, 8) & 0o4000, 0, 'O_NONBLOCK');
  for (const other of others) other?.[Symbol.dispose]();
  assert.deepEqual(readdirSync(scratchDirectory), []);
});

test('leaves no descriptor open in the host', { skip: !isLinux }, async () => {
  await run(['true'], { input: 'x' });
  const before = readdirSync('/proc/self/fd').length;
  await run(['cat'], { input: 'some input' });
  await run(['no-such-command'], { input: 'x' });
  await run(['true']);
  assert.equal(readdirSync('/proc/self/fd').length, before);
});

for (const size of [1, 65_536, 65_537, 1_000_003, 64 * 1024 * 1024])
  test(`brings ${size} bytes of output, each in its place`, async () => {
    const block = Buffer.from(Array.from({ length: 65521 }, (_, index) => (index * 31) % 251));
    const { stdout } = await run(['./write-bytes.mjs', String(size)]);
    assert.equal(stdout.length, size);
    for (let at = 0; at < size; at += block.length)
      if (!stdout.subarray(at, at + block.length).equals(block.subarray(0, size - at)))
        assert.fail(`differs in the block at ${at}`);
  });

test('never loses a byte of short commands', async () => {
  const batches = process.env['RMTX_LONG_TESTS'] === '1' ? 250 : 6;
  for (let batch = 0; batch < batches; batch += 1) {
    const four = [0, 1, 2, 3].map(() => run(['sh', '-c', 'printf hello; printf world >&2']));
    for (const { stdout, stderr, cut } of await Promise.all(four)) {
      assert.equal(stdout.toString(), 'hello');
      assert.equal(stderr.toString(), 'world');
      assert.deepEqual(cut, []);
    }
  }
});

test('hands a slow input over piece by piece', async () => {
  const command = await startProcess(specOf(['cat'], { hasStdin: true }));
  const whole = bytesOf(command.stderr);
  for (const piece of ['one\n', 'two\n', 'three\n']) {
    command.stdin?.write(piece);
    assert.equal(await untilPrinted(command.stdout, /\n/), piece);
  }
  command.stdin?.end();
  assert.deepEqual((await finish(command)).exit, { kind: 'exited', code: 0 });
  await whole;
});

test('hands much input over with back-pressure', async () => {
  const input = Buffer.alloc(8_000_000, 'abcdefg\n');
  const { stdout } = await run(['cat'], { input });
  assert.equal(stdout.equals(input), true);
});

test('survives a command that does not read its input', async () => {
  const command = await startProcess(specOf(['true'], { hasStdin: true }));
  const piece = Buffer.alloc(64 * 1024);
  const closed = new Promise((resolve) => command.stdin?.once('close', resolve));
  const feed = (): void => void command.stdin?.write(piece, (error) => error ?? feed());
  feed();
  assert.deepEqual((await finish(command)).exit, { kind: 'exited', code: 0 });
  await closed;
});

test('survives a command that closes its input and goes on', async () => {
  const command = await startProcess(specOf(['./close-stdin.sh'], { hasStdin: true }));
  await untilPrinted(command.stdout, /closed/);
  const error = await new Promise((resolve) => command.stdin?.write('too late', resolve));
  assert.equal((error as NodeJS.ErrnoException).code, 'EPIPE');
  command.sendSignal('SIGKILL');
  assert.deepEqual((await finish(command)).exit, {
    kind: 'signalled',
    signal: 'SIGKILL',
    number: 9,
  });
});

test('an input that never ends does not keep a command', async () => {
  const command = await startProcess(specOf(['head', '-c', '1'], { hasStdin: true }));
  command.stdin?.write('x and more');
  const { exit, stdout } = await finish(command);
  assert.deepEqual([exit, stdout.toString()], [{ kind: 'exited', code: 0 }, 'x']);
  assert.equal(command.stdin?.destroyed, true);
});

test('a command whose reader goes away gets SIGPIPE', async () => {
  const command = await startProcess(specOf(['./print-forever.sh']));
  await untilPrinted(command.stdout, /endless/);
  command.closeOutput('stdout');
  assert.deepEqual((await finish(command)).exit, {
    kind: 'signalled',
    signal: 'SIGPIPE',
    number: 13,
  });
});

test('goes on when the command itself closes its output', async () => {
  const { exit, stderr } = await run(['sh', '-c', 'exec >&-; echo still here >&2; exit 5']);
  assert.deepEqual(exit, { kind: 'exited', code: 5 });
  assert.equal(stderr.toString(), 'still here\n');
});

test(
  'cuts an output that somebody outside the run holds open, and says so',
  { skip: !isLinux },
  async () => {
    const command = await startProcess(
      specOf(['sh', '-c', 'echo $$; read go'], { hasStdin: true }),
    );
    const pid = (await untilPrinted(command.stdout, /\n/)).trim();
    // A stranger to the run (a container engine, a terminal server) was handed the descriptor.
    const stranger = await startProcess(
      specOf(['sh', '-c', `exec 3>/proc/${pid}/fd/1; echo holding; exec tail -f /dev/null`]),
    );
    await untilPrinted(stranger.stdout, /holding/);
    command.stdin?.end();
    await command.leaderExit;
    assert.deepEqual(await command.sweep(), { killed: 0, survivors: 0 });
    assert.deepEqual(await command.finishOutput(50), { cut: ['stdout'] });
    stranger.sendSignal('SIGKILL');
    await finish(stranger);
  },
);

test(
  'uses prepared streams up also when the command cannot be started',
  { skip: !isLinux },
  async (t) => {
    const before = readdirSync('/proc/self/fd').length;
    const streams = await prepareStreams(temporaryDirectory(t));
    await run(['no-such-command'], { streams });
    assert.equal(readdirSync('/proc/self/fd').length, before);
  },
);
