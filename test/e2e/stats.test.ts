/** `rmtx stats`: what a host says of its machine, once and again. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { FINGERPRINT, ISO_TIME, json, jsonError } from '../support/house-keeping.js';
import { LyingHost } from '../support/lying-host.js';
import { Rig } from '../support/rig.js';
import { Window } from '../support/tmux.js';

/** A program that says it is NVIDIA's, before all others in the host's PATH. */
function fakeNvidia(rig: Rig, script: string): readonly string[] {
  const directory = rig.newDirectory('programs');
  const file = path.join(directory, 'nvidia-smi');
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return ['env', `PATH=${directory}:${process.env['PATH'] ?? ''}`];
}

function cellsOf(line: string): Map<string, string> {
  assert.equal(line.indexOf('\n'), line.length - 1, line);
  return new Map(
    line
      .trimEnd()
      .split('\t')
      .map((cell) => {
        const at = cell.indexOf('=');
        assert.ok(at > 0, cell);
        return [cell.slice(0, at), cell.slice(at + 1)];
      }),
  );
}

describe('stats', () => {
  test('prints one line of key=value, and the same as a document', async () => {
    await using rig = new Rig();
    const wrap = fakeNvidia(rig, 'echo "NVIDIA H200, 7, 100, 143771, 31"');
    const host = await rig.host({ wrap });
    const client = rig.pairedClient(host);
    const project = client.project({}, { host });
    const started = await project.exec(['sleep', '600'], { flags: ['--detach'] });
    assert.equal(started.code, 0, started.stderr);

    const line = await client.rmtx(['stats'], { cwd: project.root });
    assert.equal(line.code, 0, line.stderr);
    const cells = cellsOf(line.text);
    const document = json(await client.rmtx(['stats', '--json', '--host', 'box']));
    const { runs, gpus, ...rest } = document;
    assert.deepEqual(
      [...cells.keys()].filter((key) => !key.startsWith('gpu')),
      Object.keys(rest),
    );
    const count = Number(cells.get('logical_cpus'));
    assert.ok(count > 0);
    assert.equal(cells.get('cpu_per_core_used_percent')?.split(',').length, count);
    for (const key of ['cpu_used_percent', 'memory_used_percent', 'disk_used_percent'])
      assert.match(cells.get(key) ?? '', /^\d{1,3}(\.\d)?$/, key);
    for (const key of ['total', 'used', 'available'])
      assert.match(cells.get(`memory_${key}_bytes`) ?? '', /^\d+$/, key);
    assert.deepEqual(
      ['os', 'arch', 'active_runs', 'active_contexts', 'contexts'].map((key) => cells.get(key)),
      [process.platform, process.arch, '1', '1', '1'],
    );
    assert.match(cells.get('fingerprint') ?? '', new RegExp(`^${FINGERPRINT}$`));
    assert.match(cells.get('at') ?? '', new RegExp(`^${ISO_TIME}$`));
    assert.equal(cells.get('gpu_used_percent'), '7');
    assert.deepEqual(gpus, [
      {
        name: 'NVIDIA H200',
        used_percent: 7,
        memory_used_bytes: 104_857_600,
        memory_total_bytes: 150_754_820_096,
        temperature_celsius: 31,
      },
    ]);
    const [run, ...others] = runs as Record<string, unknown>[];
    assert.equal(others.length, 0);
    assert.deepEqual([run?.['state'], run?.['command_line']], ['running', 'sleep 600']);

    await host.stop();
    const gone = await client.rmtx(['stats', '--json'], { cwd: project.root });
    assert.equal(gone.code, 1);
    assert.equal(jsonError(gone).code, 'ERR_RMTX_HOST_UNREACHABLE');
  });

  test('a driver that hangs holds up nothing, and the commands of others are theirs', async () => {
    await using rig = new Rig();
    const host = await rig.host({ wrap: fakeNvidia(rig, 'exec sleep 600') });
    const [owner, other] = [rig.pairedClient(host), rig.pairedClient(host)];
    const project = owner.project({}, { host });
    const started = await project.exec(['sleep', '601'], { flags: ['--detach'] });
    assert.equal(started.code, 0, started.stderr);
    const document = json(await other.rmtx(['stats', '--json']));
    assert.equal(document['gpus'], null);
    assert.deepEqual([document['active_runs'], document['runs']], [1, []]);
    assert.equal(document['contexts'], 0);
    // The host answers others while it waits for the driver.
    assert.equal((await other.rmtx(['ping'])).code, 0);
  });

  test('--watch without a terminal prints a line each time, until nobody reads', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.pairedClient(host);
    const args = ['stats', '--watch', '--interval', '500ms'];
    const lines = client.start(args);
    await lines.says(/^name=box\t.*\nname=box\t.*\n/);
    const documents = client.start([...args, '--json']);
    // A document a line; the host may hand out a reading twice, but not for ever.
    await documents.says(/^\{.*"at":"([^"]+)".*\}\n(?:\{.*\}\n)*\{.*"at":"(?!\1)[^"]+".*\}\n/);

    for (const running of [lines, documents]) running.child.stdout?.destroy();
    for (const running of [lines, documents]) assert.equal((await running.ended).code, 0);
  });

  test('--watch says that the connection is lost, and goes on when the host is back', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.pairedClient(host);
    const watching = client.start(['stats', '--watch', '--interval', '500ms', '--host', 'box']);
    await watching.says(/active_runs=/);
    await host.kill();
    await watching.says(/rmtx: error: .*\nrmtx: (?:hint.*\nrmtx: )?trying to reach the host again/);
    const { stateDirectory, address } = host;
    const before = watching.stdoutText.length;
    await rig.host({ stateDirectory, args: ['--listen', address] });
    while (watching.stdoutText.length === before) await once(watching.child.stdout!, 'data');
    watching.child.kill('SIGTERM');
    assert.equal((await watching.ended).signal, 'SIGTERM');
  });

  test('intervals that make no sense are wrong usage', async () => {
    await using rig = new Rig();
    const client = rig.client();
    for (const args of [
      ['--interval', '5s'],
      ['--watch', '--interval', '499ms'],
      ['--watch', '--interval', '30d'],
    ])
      assert.equal((await client.rmtx(['stats', ...args])).code, 2, args.join(' '));
  });
});

describe('stats --watch on a terminal', () => {
  test('draws, follows the size and the connection, and gives the terminal back as it was', async () => {
    await using rig = new Rig();
    const project = await rig.project();
    const { host } = project;
    const started = await project.exec(['sleep', '600'], { flags: ['--detach'] });
    assert.equal(started.code, 0, started.stderr);
    await using window = await Window.open(project);
    await window.enter('stty -g > before; echo kept');
    await window.shows(/kept/);
    await window.type('rmtx stats --watch');
    await window.press('Enter');
    const wide = await window.shows(/^box .*● up \S+[mdhs]$/m);
    assert.match(wide, /^CPU +[━╸─]+ +\d+% {2}load/m);
    assert.match(wide, /^Memory +[━╸─]{40,} +\d+% {2}\S+ free of \S+$/m);
    assert.match(wide, /^ +\d+m?\d*s {2}\S+ {2}sleep 600$/m);
    assert.match(wide, /\nq leaves$/);
    assert.doesNotMatch(wide, /kept/);

    await window.resize(40, 12);
    const narrow = await window.shows(/^Mem +[━╸─]{5,20} +\d+% {2}\S+ free$/m);
    assert.ok(narrow.split('\n').every((line) => line.length <= 40));
    assert.match(narrow, /sleep 600/);

    await window.resize(90, 20);
    await window.shows(/^Memory/m);
    await host.kill();
    const { stateDirectory, address } = host;
    await window.shows(/○ connection lost \d+s ago\n+trying again: /);
    await rig.host({ stateDirectory, args: ['--listen', address] });
    await window.shows(/● up/);

    await window.press('C-z');
    await window.shows(/kept[^]*ready>$/);
    await window.type('fg');
    await window.press('Enter');
    await window.shows(/● up/);
    await window.press('q');
    await window.shows(/ready>$/);
    await window.type('echo "left $?"; stty -g > after; cmp before after && echo same');
    await window.press('Enter');
    const after = await window.shows(/left 0\nsame/);
    assert.match(after, /kept/, 'what was on the screen is there again');
    assert.doesNotMatch(after, /Memory/);

    await window.enter('rmtx stats -w');
    await window.shows(/● up/);
    await window.press('C-c');
    await window.shows(/ready>$/);
    await window.type('echo "left $?"; stty -g > after; cmp before after && echo same');
    await window.press('Enter');
    await window.shows(/left 130\nsame/);
  });

  test('NO_COLOR has no colours, TERM=dumb has lines, and an unreachable host is an error', async () => {
    await using rig = new Rig();
    const project = await rig.project();
    await using window = await Window.open(project);
    const styled = async (): Promise<string> => window.tmux('capture-pane', '-p', '-e');
    await window.enter('rmtx stats --watch');
    await window.shows(/● up/);
    assert.match(await styled(), /\u001b\[[\d;]*3[123]m/);
    await window.press('q');
    await window.shows(/ready>$/);
    await window.enter('NO_COLOR=1 rmtx stats --watch');
    await window.shows(/● up/);
    assert.doesNotMatch(await styled(), /\u001b\[[\d;]*3[123]m/);
    await window.press('q');
    await window.shows(/ready>$/);
    await window.enter('TERM=dumb rmtx stats --watch --interval 500ms');
    const lines = await window.shows(/name=box[^]*at=\S+[^]*name=box/);
    assert.doesNotMatch(lines, /━/);
    await window.press('C-c');
    await window.shows(/ready>$/);
    await project.host.stop();
    await window.enter('rmtx stats --watch; echo "left $?"');
    await window.shows(/rmtx: error: cannot reach[^]*left 1/);
  });
});

test('a host whose numbers are no machine’s is refused, and whose names are wild moves no cursor', async () => {
  await using rig = new Rig();
  await using liar = await LyingHost.start(rig);
  const project = liar.project();
  const wild = '\x1b[2J\x9b1m\u202e\r\n';
  const honest = {
    name: wild,
    version: wild,
    at: wild,
    os: wild,
    arch: wild,
    uptime_seconds: 1,
    cpu_model: wild,
    logical_cpus: 1,
    cpu_used_percent: 1,
    cpu_used_cores: 0.01,
    cpu_per_core_used_percent: [1],
    memory_total_bytes: 1,
    memory_used_bytes: 1,
    memory_available_bytes: 0,
    memory_used_percent: 100,
    gpus: [{ name: wild }],
    active_runs: 1,
    active_contexts: 1,
    contexts: 1,
    runs: [],
  };
  const serve = (answer: object): void => {
    const body = JSON.stringify(answer);
    const head = `HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
    liar.serveControl((socket) => {
      socket.on('data', () => socket.write(head + body));
    });
  };
  serve(honest);
  for (const args of [
    ['stats'],
    ['stats', '--json'],
    ['hosts', '--timeout', '20s'],
    ['hosts', '-v', '--timeout', '20s'],
  ]) {
    const { code, text, stderr } = await project.client.rmtx(args, { cwd: project.root });
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(text, /[\0-\x08\x0b-\x1f\x7f-\x9f\u202e]/);
  }
  serve({ ...honest, cpu_used_percent: 1e300 });
  const refused = await project.client.rmtx(['stats', '--json'], { cwd: project.root });
  assert.equal(jsonError(refused).code, 'ERR_RMTX_BAD_MESSAGE');
  const { hosts } = json(await project.client.rmtx(['hosts', '--json', '--timeout', '20s'])) as {
    hosts: { state: string }[];
  };
  assert.deepEqual(
    hosts.map(({ state }) => state),
    ['unclear'],
  );
});
