import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Lan, noFirewall, noLan } from '../support/lan.js';
import { fingerprintOf, hostOn, program, rmtxOn } from '../support/lan-rig.js';
import { Rig } from '../support/rig.js';
import type { RigHost } from '../support/rig.js';

const hasScript = spawnSync('script', ['--version']).status === 0;

describe('on a network of its own', { skip: noLan(), concurrency: 2 }, () => {
  test('a host that another program keeps from being heard says so, and serves', async () => {
    await using rig = new Rig();
    using lan = new Lan();
    const machine = lan.machine({ ipv4: '10.77.0.2' });
    const script = `require('dgram').createSocket('udp4').bind(33222, () => console.log('taken'))`;
    const other = machine.start(process.execPath, '-e', script);
    try {
      await once(other.stdout ?? other, 'data');
      const box = await hostOn(rig, machine, 'box');
      await box.running.says(
        /^rmtx: another program has UDP 33222 for itself: .*init --host ADDR/m,
      );
      const laptop = lan.machine({ ipv4: '10.77.0.4' });
      const args = ['pair', '--host', '10.77.0.2', '--code', await box.pairCode()];
      const paired = await rmtxOn(laptop, rig.client(), { args });
      assert.equal(paired.code, 0, paired.stderr);
    } finally {
      other.kill();
    }
  });

  test('init finds two hosts, and takes the one that is meant', async () => {
    await using rig = new Rig();
    using lan = new Lan();
    const box = await hostOn(rig, lan.machine({ ipv4: '10.77.0.2' }), 'box');
    await hostOn(rig, lan.machine({ ipv4: '10.77.0.3' }), 'attic');
    const laptop = lan.machine({ ipv4: '10.77.0.4' });
    const code = await box.pairCode();
    const client = rig.client();

    const undecided = await rmtxOn(laptop, client, { args: ['init', '--yes', '--code', code] });
    assert.equal(undecided.code, 1, undecided.stderr);
    assert.match(
      undecided.stderr,
      /^ {2}1 {2}attic {2}linux \S+ {2}10\.77\.0\.3:33221 .* run rmtx host pair-code there$/m,
    );
    assert.match(undecided.stderr, /^ {2}2 {2}box .* 10\.77\.0\.2:33221 .* pairable now$/m);
    assert.match(
      undecided.stderr,
      /2 hosts answer, and none is chosen\nrmtx: hint: say --select N or --host ADDR; found: attic at/,
    );
    assert.deepEqual(readdirSync(undecided.cwd), []);
    const alone = await rmtxOn(laptop, client, { args: ['init', '--code', code] });
    assert.match(alone.stderr, /none is chosen/);
    const wrong = await rmtxOn(laptop, client, { args: ['init', '--select', '3'] });
    assert.deepEqual(
      [wrong.code, /choose from 1 to 2/.test(wrong.stderr)],
      [2, true],
      wrong.stderr,
    );

    const args = ['init', '--select', '2', '--code', code];
    const made = await rmtxOn(laptop, client, { args });
    assert.equal(made.code, 0, made.stderr);
    assert.match(made.text, /^initialized\t\S+\t10\.77\.0\.2:33221\tsha256:/);
    assert.match(
      made.stderr,
      /^rmtx: found box at 10\.77\.0\.2:33221 \(linux \S+, \d+ cores?, pairable now\)$/m,
    );
    assert.match(made.stderr, /^rmtx: paired with box, which answers in [\d.]+ms$/m);
    const config = JSON.parse(readFileSync(path.join(made.cwd, '.rmtx.json'), 'utf8')) as object;
    assert.equal('host' in config || 'discovery' in config, false);
    const ran = await rmtxOn(laptop, client, { args: ['exec', 'ls', '-A'], cwd: made.cwd });
    assert.deepEqual([ran.code, ran.text], [0, '.rmtx.json\n'], ran.stderr);

    const fingerprint = await fingerprintOf(box);
    const again = ['pair', '--fingerprint', fingerprint, '--code', await box.pairCode()];
    const pinned = await rmtxOn(laptop, client, { args: again });
    assert.match(pinned.text, /^paired\tbox\t10\.77\.0\.2:33221\t/, pinned.stderr);
  });

  test(
    'a person chooses from the list and types the code',
    { skip: hasScript ? false : 'needs script(1)' },
    async () => {
      await using rig = new Rig();
      using lan = new Lan();
      const box = await hostOn(rig, lan.machine({ ipv4: '10.77.0.2' }), 'box');
      await hostOn(rig, lan.machine({ ipv4: '10.77.0.3' }), 'attic');
      const laptop = lan.machine({ ipv4: '10.77.0.4' });
      const cwd = rig.newDirectory('folder');
      const running = rig.client().start(['init'], {
        cwd,
        wrap: [...laptop.wrap, 'sh', '-c', 'exec script -qec "$0 $*" /dev/null'],
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      await running.says(/which one\? \[1\] /);
      running.child.stdin?.write('9\n');
      await running.says(/type a number from 1 to 2\r?\n[^]*which one/);
      running.child.stdin?.write('2\n');
      await running.says(/box has to show a code[^]*pairing code: /);
      running.child.stdin?.write(`${await box.pairCode()}\n`);
      const result = await running.ended;
      assert.equal(result.code, 0, result.text);
      assert.match(result.text, /^initialized\t/m);
    },
  );

  test('with IPv6 alone, pairs and runs at a link-local address', async () => {
    await using rig = new Rig();
    using lan = new Lan();
    const box = await hostOn(rig, lan.machine(), 'box');
    const laptop = lan.machine();
    const client = rig.client();
    const args = ['init', '--code', await box.pairCode()];
    const made = await rmtxOn(laptop, client, { args });
    assert.match(
      made.text,
      /^initialized\t\S+\t\[fe80::[0-9a-f:]+%eth0\]:33221\tsha256:/,
      made.stderr,
    );
    const ran = await rmtxOn(laptop, client, { args: ['exec', 'true'], cwd: made.cwd });
    assert.equal(ran.code, 0, ran.stderr);
  });

  test('with IPv4 alone, and at a new address after the network has given it another', async () => {
    await using rig = new Rig();
    using lan = new Lan();
    const machine = lan.machine({ ipv4: '10.77.0.2', hasIpv6: false });
    const box = await hostOn(rig, machine, 'box');
    const laptop = lan.machine({ ipv4: '10.77.0.4', hasIpv6: false });
    const client = rig.client();
    const found = await rmtxOn(laptop, client, { args: ['init', '--code', await box.pairCode()] });
    assert.match(found.text, /\t10\.77\.0\.2:33221\t/, found.stderr);
    machine.ip('addr', 'flush', 'dev', 'eth0');
    machine.ip('addr', 'add', '10.77.0.77/24', 'dev', 'eth0');
    const moved = await rmtxOn(laptop, client, { args: ['pair', '--code', await box.pairCode()] });
    assert.match(moved.text, /^paired\tbox\t10\.77\.0\.77:33221\t/, moved.stderr);
  });

  test('says what to type where nobody is heard', async () => {
    await using rig = new Rig();
    using lan = new Lan();
    const laptop = lan.machine({ ipv4: '10.77.0.4' });
    const client = rig.client();
    const none = await rmtxOn(laptop, client, { args: ['init', '--discovery-timeout', '300ms'] });
    assert.equal(none.code, 1);
    assert.match(
      none.stderr,
      /no host was heard on eth0 \(10\.77\.0\.4\)\nrmtx: hint: start rmtx host .*--host ADDR/,
    );
    laptop.ip('link', 'set', 'eth0', 'down');
    const off = await rmtxOn(laptop, client, { args: ['init', '--discovery-timeout', '300ms'] });
    assert.match(off.stderr, /this machine is on no network\nrmtx: hint: .*--host ADDR/);
  });

  test('a host of another service is found by who names it, and by nobody else', async () => {
    await using rig = new Rig();
    using lan = new Lan();
    const machine = lan.machine({ ipv4: '10.77.0.2' });
    const args = ['--listen', ':33221'];
    const box = await rig.host({ wrap: machine.wrap, service: 'team-a', args });
    const laptop = lan.machine({ ipv4: '10.77.0.4' });
    const client = rig.client();
    const look = ['init', '--discovery-timeout', '700ms', '--code', await box.pairCode()];
    assert.match((await rmtxOn(laptop, client, { args: look })).stderr, /no host was heard/);
    const made = await rmtxOn(laptop, client, { args: [...look, '--service', 'team-a'] });
    assert.equal(made.code, 0, made.stderr);
    const config = JSON.parse(readFileSync(path.join(made.cwd, '.rmtx.json'), 'utf8')) as {
      discovery: object;
    };
    assert.deepEqual(config.discovery, { service: 'team-a' });
  });

  test('a neighbour who lies takes time, and nothing else', async () => {
    await using rig = new Rig();
    using lan = new Lan();
    const box = await hostOn(rig, lan.machine({ ipv4: '10.77.0.200' }), 'box');
    const prefix = (await fingerprintOf(box)).slice('sha256:'.length).slice(0, 16);
    const liar = lan
      .machine({ ipv4: '10.77.0.3' })
      .start(process.execPath, program('lan-liar'), prefix, 'box');
    try {
      await once(liar.stdout ?? liar, 'data');
      const laptop = lan.machine({ ipv4: '10.77.0.4' });
      const args = ['init', '--code', await box.pairCode()];
      const made = await rmtxOn(laptop, rig.client(), { args });
      assert.match(
        made.text,
        /^initialized\t\S+\t(?:10\.77\.0\.200|\[fe80\S+):33221\t/,
        made.stderr,
      );
    } finally {
      liar.kill('SIGKILL');
      await once(liar, 'close');
    }
  });
});

describe('behind a firewall', { skip: noLan() || noFirewall(), concurrency: 2 }, () => {
  test('that lets no question in, a host is heard when it announces itself', async () => {
    await using rig = new Rig();
    using lan = new Lan();
    const machine = lan.machine({ ipv4: '10.77.0.2' });
    machine.dropUdp(33_222, 5353);
    const box = await hostOn(rig, machine, 'box');
    const laptop = lan.machine({ ipv4: '10.77.0.4' });
    const code = await box.pairCode();
    const made = await rmtxOn(laptop, rig.client(), { args: ['init', '--code', code] });
    assert.match(made.text, /^initialized\t\S+\t10\.77\.0\.2:33221\t/, made.stderr);
    // A window is open: the next announcement came before there was anything to say.
    assert.doesNotMatch(made.stderr, /no host has answered yet/);
  });

  test('that knows only DNS-SD, a host is found with it', async () => {
    await using rig = new Rig();
    using lan = new Lan();
    const machine = lan.machine({ ipv4: '10.77.0.2' });
    const laptop = lan.machine({ ipv4: '10.77.0.4' });
    for (const each of [machine, laptop]) each.dropUdp(33_222);
    const box = await hostOn(rig, machine, 'box');
    const code = await box.pairCode();
    const made = await rmtxOn(laptop, rig.client(), { args: ['init', '--code', code] });
    assert.match(made.text, /^initialized\t\S+\t10\.77\.0\.2:33221\t/, made.stderr);
  });
});

describe('under attack', { skip: noLan() }, () => {
  test('100,000 packets leave a host as it was', async () => {
    await using rig = new Rig();
    using lan = new Lan();
    const box = await hostOn(rig, lan.machine({ ipv4: '10.77.0.2' }), 'box');
    const laptop = lan.machine({ ipv4: '10.77.0.4' });
    const client = rig.client();
    const before = await rmtxOn(laptop, client, { args: ['init', '--code', await box.pairCode()] });
    assert.equal(before.code, 0, before.stderr);
    const bytesBefore = memoryOf(box);
    const neighbour = lan.machine({ ipv4: '10.77.0.5' });
    const flood = neighbour.start(
      process.execPath,
      program('lan-flood'),
      '10.77.0.2',
      '33222',
      '100000',
    );
    const [answers] = (await once(flood.stdout ?? flood, 'data')) as [Buffer];
    assert.ok(Number(answers) < 500, `${String(answers)} answers`);
    const pinged = await rmtxOn(laptop, client, { args: ['ping'], cwd: before.cwd });
    assert.equal(pinged.code, 0, pinged.stderr);
    const found = await rmtxOn(laptop, client, { args: ['pair', '--code', await box.pairCode()] });
    assert.equal(found.code, 0, found.stderr);
    const grown = memoryOf(box) - bytesBefore;
    assert.ok(grown < 40e6, `grew by ${grown} bytes`);
  });
});

function memoryOf(host: RigHost): number {
  const status = readFileSync(`/proc/${host.running.child.pid ?? 0}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}
