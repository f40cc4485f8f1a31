/** `exec --fallback`: what happens where no host answers, and that nothing ever runs twice. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';
import { LyingHost } from '../support/lying-host.js';
import { Rig } from '../support/rig.js';
import type { Result } from '../support/rig.js';

const LOCAL = ['--fallback', 'local'];
const WARNING = /^rmtx: warning: the host cannot be reached \(.+\); running here$/m;
/** Of the two seconds that a host is given, and what a busy machine adds. */
const PROMPT_MS = 8000;

function isLocal({ stderr }: Result): boolean {
  return WARNING.test(stderr);
}

describe('exec --fallback local with the host off', () => {
  test('the command runs here: code, signal, directory, streams, environment', async () => {
    await using rig = new Rig();
    const project = await rig.project({ 'sub/a.txt': 'a' });
    await project.host.stop();
    const before = readdirSync(project.root, { recursive: true });
    const sh = (script: string): Promise<Result> => project.sh(script, { flags: LOCAL });

    const bytes = Buffer.from([0, 255, 10, 13, 128]);
    const cat = await project.exec(['cat'], { flags: LOCAL, stdin: bytes });
    assert.deepEqual([cat.code, cat.stdout], [0, bytes], cat.stderr);
    assert.match(cat.stderr, WARNING);
    assert.match(cat.stderr, /127\.0\.0\.1:\d+ \(ECONNREFUSED\)/);

    assert.equal((await sh('exit 3')).code, 3);
    const killed = await sh('kill -9 $$');
    assert.equal(killed.code, 137);
    assert.match(killed.stderr, /^rmtx: sh was ended by SIGKILL$/m);

    const place = await project.client.rmtx(
      [
        'exec',
        ...LOCAL,
        '--env',
        'A=1',
        '-n',
        '--',
        'sh',
        '-c',
        'pwd; echo $A$B $RMTX_RUNNER; cat',
      ],
      { cwd: project.path('sub'), env: { B: '2' }, stdin: 'not for it' },
    );
    assert.equal(place.text, `${project.path('sub')}\n12 local\n`, place.stderr);

    const missing = await project.exec(['no-such-command'], { flags: LOCAL });
    assert.equal(missing.code, 127);
    assert.match(missing.stderr, /command not found here: no-such-command \(PATH here: /);
    const odd = await project.exec(['./sub/a.txt'], { flags: LOCAL });
    assert.deepEqual([odd.code, /cannot execute .* here/.test(odd.stderr)], [126, true]);
    const outside = await project.exec(['true'], { flags: [...LOCAL, '--cwd', rig.directory] });
    assert.notEqual(outside.code, 0);
    assert.deepEqual(readdirSync(project.root, { recursive: true }), before);
  });

  test('as data it has the shape of a run', async () => {
    await using rig = new Rig();
    const project = await rig.project();
    await project.host.stop();
    const { code, text } = await project.sh('echo out; echo err >&2; exit 4', {
      flags: [...LOCAL, '--json'],
    });
    assert.equal(code, 4);
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const [local] = lines.filter(({ type }) => type === 'local');
    assert.deepEqual([local?.['runner'], local?.['cwd']], ['local', project.root]);
    assert.equal((local?.['reason'] as { code: string }).code, 'ERR_RMTX_HOST_UNREACHABLE');
    const output = (wanted: string): string =>
      lines
        .filter(({ type, stream }) => type === 'output' && stream === wanted)
        .map((line) => Buffer.from(String(line['data_b64']), 'base64').toString())
        .join('');
    assert.deepEqual([output('stdout'), output('stderr')], ['out\n', 'err\n']);
    const report = lines.at(-1);
    assert.deepEqual(
      [report?.['type'], report?.['runner'], report?.['run_id'], report?.['exit_code']],
      ['report', 'local', null, 4],
    );
    const missing = await project.exec(['no-such-command'], { flags: [...LOCAL, '--json'] });
    assert.equal(missing.code, 127, missing.stderr);
  });

  test('a signal to rmtx is one to the command', async () => {
    await using rig = new Rig();
    const project = await rig.project();
    await project.host.stop();
    const script = 'trap "echo got; exit 7" TERM; echo ready; while :; do sleep 0.05; done';
    const running = project.client.start(['exec', ...LOCAL, '--', 'sh', '-c', script], {
      cwd: project.root,
    });
    await running.says(/ready/);
    running.child.kill('SIGTERM');
    const { code, text } = await running.ended;
    assert.deepEqual([code, text], [7, 'ready\ngot\n']);
  });
});

test('what only a host can do is refused beside --fallback local before anything', async () => {
  await using rig = new Rig();
  const project = await rig.project();
  for (const flags of [
    [...LOCAL, '--detach'],
    [...LOCAL, '--timeout', '1m'],
    [...LOCAL, '--no-sync-back'],
    [...LOCAL, '--disconnect-grace', '1m'],
    ['--fallback', 'elsewhere'],
  ]) {
    const { code, stderr } = await project.exec(['touch', 'ran'], { flags });
    assert.equal(code, 2, stderr);
  }
  assert.equal(project.has('ran'), false);
});

describe('exec --fallback local with a host', () => {
  test('runs there while it answers, and a host that dies later is no reason to run again', async () => {
    await using rig = new Rig();
    const project = await rig.project();
    const { host } = project;
    const log = path.join(rig.directory, 'log');
    const there = await project.sh(`echo $RMTX_RUNNER; exit 5`, { flags: LOCAL });
    assert.deepEqual([there.code, there.text, there.stderr], [5, 'host\n', '']);
    const script = `echo line >> ${log}; echo started; sleep 600`;
    const running = project.client.start(['exec', ...LOCAL, '--', 'sh', '-c', script], {
      cwd: project.root,
    });
    await running.says(/started/);
    await host.kill();
    await running.says(/connection lost/);
    const { stateDirectory, address } = host;
    await rig.host({ stateDirectory, args: ['--listen', address] });
    const result = await running.ended;
    assert.equal(result.code, 125, result.stderr);
    assert.equal(isLocal(result), false, result.stderr);
    assert.equal(readFileSync(log, 'utf8'), 'line\n');
  });

  test('one that is silent is given two seconds, be it before or after it has proven itself', async () => {
    await using rig = new Rig();
    await using liar = await LyingHost.start(rig);
    const project = liar.project();
    liar.serve((visit) => visit.fallSilent());
    const mute = await timed(() => project.exec(['echo', 'here'], { flags: LOCAL }));
    assert.deepEqual([mute.result.code, mute.result.text], [0, 'here\n'], mute.result.stderr);
    assert.match(mute.result.stderr, /did not answer within 2s\); running here/);
    assert.ok(mute.ms < PROMPT_MS, `${mute.ms} ms`);

    const sockets: net.Socket[] = [];
    const server = net.createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    const flags = [...LOCAL, '--host', `127.0.0.1:${port}`];
    const hole = await timed(() => project.exec(['echo', 'here'], { flags }));
    assert.deepEqual([hole.result.code, hole.result.text], [0, 'here\n'], hole.result.stderr);
    assert.ok(sockets.length > 0 && hole.ms < PROMPT_MS, `${hole.ms} ms`);
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  test('another key, a revoked pairing and a broken config are no reasons', async () => {
    await using rig = new Rig();
    const project = await rig.project();
    const { client, host } = project;
    const ran = path.join(rig.directory, 'ran');
    const refused = async (code: string): Promise<void> => {
      const result = await project.exec(['touch', ran], { flags: [...LOCAL, '--json'] });
      assert.equal(result.code, 125, result.stderr);
      const { error } = JSON.parse(result.stderr) as { error: { code: string } };
      assert.equal(error.code, code);
      assert.equal(existsSync(ran), false, code);
    };
    const { clients } = JSON.parse((await host.admin('clients', 'list', '--json')).text) as {
      clients: { id: string }[];
    };
    assert.equal((await host.admin('clients', 'revoke', clients[0]?.id ?? '')).code, 0);
    await refused('ERR_RMTX_NOT_PAIRED');
    await host.stop();
    await rig.host({ args: ['--listen', host.address] });
    await refused('ERR_RMTX_FINGERPRINT_MISMATCH');
    const wait = await client.rmtx(['exec', '--fallback', 'wait', '--', 'touch', ran], {
      cwd: project.root,
    });
    assert.deepEqual([wait.code, existsSync(ran)], [125, false], wait.stderr);
    project.write({ '.rmtx.json': '{' });
    await refused('ERR_RMTX_CONFIG_INVALID');
  });
});

describe('exec --fallback wait', () => {
  test('runs when the host is there, and not a moment before', async () => {
    await using rig = new Rig();
    const project = await rig.project();
    const { host, client } = project;
    await host.stop();
    const args = ['exec', '--fallback', 'wait', '--', 'sh', '-c', 'echo $RMTX_RUNNER; exit 6'];
    const running = client.start(args, { cwd: project.root });
    await running.says(/^rmtx: cannot reach .*; waiting for it \(Ctrl-C gives up\)$/m);
    const { stateDirectory, address } = host;
    await rig.host({ stateDirectory, args: ['--listen', address] });
    const { code, text, stderr } = await running.ended;
    assert.deepEqual([code, text], [6, 'host\n'], stderr);
    assert.match(stderr, /^rmtx: the host is there after \S+$/m);
    assert.equal(stderr.trimEnd().split('\n').length, 2, stderr);
  });

  test('waits for any host with --host auto; Ctrl-C gives up with 130, and nothing ran', async () => {
    await using rig = new Rig();
    const project = await rig.project();
    await project.host.stop();
    const ran = path.join(rig.directory, 'ran');
    mkdirSync(path.dirname(ran), { recursive: true });
    for (const flags of [[], ['--host', 'auto']]) {
      const args = ['exec', '--fallback', 'wait', ...flags, '--json', '--', 'touch', ran];
      const running = project.client.start(args, { cwd: project.root });
      await running.says(/waiting for it/);
      running.child.kill('SIGINT');
      const { code, text } = await running.ended;
      assert.deepEqual([code, existsSync(ran)], [130, false]);
      const report = JSON.parse(text.trimEnd().split('\n').at(-1) ?? '') as object;
      assert.deepEqual(Object.entries(report).slice(7, 9), [
        ['runner', null],
        ['run_id', null],
      ]);
    }
  });
});

async function timed(work: () => Promise<Result>): Promise<{ result: Result; ms: number }> {
  const from = performance.now();
  const result = await work();
  return { result, ms: performance.now() - from };
}
