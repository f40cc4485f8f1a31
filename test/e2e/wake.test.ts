/** Waking a host: what its visits told, and the packets that come of it. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Lan, noLan } from '../support/lan.js';
import type { Machine } from '../support/lan.js';
import { LyingHost } from '../support/lying-host.js';
import { eventually } from '../support/programs.js';
import { Rig } from '../support/rig.js';
import type { Result, RigClient, RigHost } from '../support/rig.js';

function hostOn(rig: Rig, machine: Machine, stateDirectory: string): Promise<RigHost> {
  const args = ['--listen', ':33221'];
  return rig.host({ wrap: machine.wrap, stateDirectory, args });
}

function rmtxOn(
  machine: Machine,
  client: RigClient,
  { args, cwd }: { readonly args: readonly string[]; readonly cwd?: string },
): Promise<Result> {
  return client.start(args, { wrap: machine.wrap, ...(cwd === undefined ? {} : { cwd }) }).ended;
}

/** What the card of a machine hears, until the machine is gone. */
class Ears implements Disposable {
  readonly #process: ChildProcess;
  #heard = '';

  constructor(machine: Machine) {
    const catcher = path.resolve(__dirname, '../support/wake-catcher.js');
    this.#process = machine.start(process.execPath, catcher);
    this.#process.stdout?.on('data', (text: Buffer) => (this.#heard += text.toString()));
  }

  async ready(): Promise<void> {
    await eventually('open ears', () => (this.#lines('ready').length === 4 ? true : undefined));
  }

  /** `PORT FAMILY` of every packet that is one for this card. */
  packetsFor(hardwareAddress: string): string[] {
    const packet = 'ff'.repeat(6) + hardwareAddress.replaceAll(':', '').repeat(16);
    return this.#lines('').flatMap((line) =>
      line.endsWith(` ${packet}`) ? [line.slice(0, 6)] : [],
    );
  }

  get others(): number {
    return this.#lines('').length - this.#lines('ready').length;
  }

  #lines(like: string): string[] {
    return this.#heard.split('\n').filter((line) => line !== '' && line.includes(like));
  }

  [Symbol.dispose](): void {
    this.#process.kill('SIGKILL');
  }
}

const cardOf = (machine: Machine): string =>
  machine.run('cat', '/sys/class/net/eth0/address').trim();

describe('on a network of its own', { skip: noLan(), concurrency: 2 }, () => {
  test('a host that was visited once is woken by its own card, and waited for', async () => {
    await using rig = new Rig();
    using lan = new Lan();
    const boxMachine = lan.machine({ ipv4: '10.78.0.2' });
    const neighbour = lan.machine({ ipv4: '10.78.0.3' });
    const laptop = lan.machine({ ipv4: '10.78.0.4' });
    const state = rig.newDirectory('box-state');
    const box = await hostOn(rig, boxMachine, state);
    const client = rig.client();
    const pair = ['pair', '--host', '10.78.0.2', '--code', await box.pairCode()];
    assert.equal((await rmtxOn(laptop, client, { args: pair })).code, 0);

    const early = await rmtxOn(laptop, client, { args: ['wake', 'box'] });
    assert.equal(early.code, 1);
    assert.match(
      early.stderr,
      /what wakes box is not known yet.*\n.*visit it once while it is awake/,
    );

    const project = client.project({}, { host: box });
    const exec = ['exec', '--host', 'box', '--', 'true'];
    const ran = await rmtxOn(laptop, client, { args: exec, cwd: project.root });
    assert.deepEqual([ran.code, ran.stderr], [0, '']);
    await box.kill();
    using ears = new Ears(boxMachine);
    using others = new Ears(neighbour);
    await Promise.all([ears.ready(), others.ready()]);
    const card = cardOf(boxMachine);

    const sent = await rmtxOn(laptop, client, { args: ['wake', 'box', '--no-wait', '--json'] });
    assert.equal(sent.code, 0, sent.stderr);
    const said = JSON.parse(sent.text) as Record<string, unknown>;
    assert.deepEqual([said['state'], said['hardware_addresses']], ['sent', [card]]);
    assert.equal(said['packets'], 6);
    await eventually('six packets', () => (ears.packetsFor(card).length >= 6 ? true : undefined));
    assert.deepEqual(ears.packetsFor(card).toSorted(), [
      '7 udp4',
      '7 udp4',
      '7 udp6',
      '9 udp4',
      '9 udp4',
      '9 udp6',
    ]);
    // A switch carries what is for everybody to everybody; only the card that is meant cares.
    assert.equal(others.packetsFor(card).length, others.others);

    const gaveUp = await rmtxOn(laptop, client, { args: ['wake', 'box', '--timeout', '1s'] });
    assert.equal(gaveUp.code, 1);
    assert.match(gaveUp.stderr, /box did not answer within 1s/);
    assert.match(gaveUp.stderr, /the machine is awake, but no rmtx host runs there/);
    boxMachine.ip('link', 'set', 'eth0', 'down');
    const asleep = await rmtxOn(laptop, client, { args: ['wake', 'box', '--timeout', '1s'] });
    assert.match(asleep.stderr, /Wake-on-LAN has to be switched on in its firmware/);
    boxMachine.ip('link', 'set', 'eth0', 'up');

    const before = ears.packetsFor(card).length;
    const waking = client.start(['wake', 'box'], { wrap: laptop.wrap });
    await eventually('a packet', () => (ears.packetsFor(card).length > before ? true : undefined));
    await hostOn(rig, boxMachine, state);
    const woken = await waking.ended;
    assert.equal(woken.code, 0, woken.stderr);
    assert.match(woken.text, /^awake\tbox\t10\.78\.0\.2:33221\twaited_ms=\d+ packets=\d+\n$/);
  });

  test('where there is only IPv6 a ping tells the card, and the packet finds it', async () => {
    await using rig = new Rig();
    using lan = new Lan();
    const boxMachine = lan.machine();
    const laptop = lan.machine();
    const box = await hostOn(rig, boxMachine, rig.newDirectory('box-state'));
    const address = /inet6 (fe80:[0-9a-f:]+)/.exec(boxMachine.run('ip', '-6', 'addr'))?.[1] ?? '';
    const client = rig.client();
    const pair = ['pair', '--host', `[${address}%eth0]`, '--code', await box.pairCode()];
    const paired = await rmtxOn(laptop, client, { args: pair });
    assert.equal(paired.code, 0, paired.stderr);
    assert.equal((await rmtxOn(laptop, client, { args: ['ping'] })).code, 0);
    using ears = new Ears(boxMachine);
    await ears.ready();
    const sent = await rmtxOn(laptop, client, { args: ['wake', '--no-wait'] });
    assert.equal(sent.text, `sent\tbox\t${cardOf(boxMachine)}\tpackets=2\n`);
    await eventually('both', () =>
      ears.packetsFor(cardOf(boxMachine)).length === 2 ? true : undefined,
    );
    boxMachine.ip('link', 'set', 'eth0', 'down');
    laptop.ip('link', 'set', 'eth0', 'down');
    const cut = await rmtxOn(laptop, client, { args: ['wake', '--no-wait'] });
    assert.match(cut.stderr, /no network here takes a wake-up packet/);
    const forgotten = await rmtxOn(laptop, client, { args: ['hosts', 'forget', 'box'] });
    assert.equal(forgotten.code, 0);
    assert.deepEqual(readdirSync(path.join(client.home, '.rmtx', 'hosts')), []);
  });
});

test('a visit over the loopback tells nothing that could wake anybody', async () => {
  await using rig = new Rig();
  const project = await rig.project();
  assert.equal((await project.sh('true')).code, 0);
  assert.equal((await project.client.rmtx(['ping'])).code, 0);
  const { code, stderr } = await project.client.rmtx(['wake', 'box']);
  assert.deepEqual([code, /what wakes box is not known yet/.test(stderr)], [1, true]);
  // The only paired host is not the one that was named.
  for (const named of ['192.0.2.1', 'nobody']) {
    const unknown = await project.client.rmtx(['wake', named], { cwd: project.root });
    assert.deepEqual([unknown.code, unknown.text], [1, '']);
    assert.match(unknown.stderr, new RegExp(`^rmtx: error: no paired host ${named}\n`));
  }
  assert.match(
    (await project.client.rmtx(['wake', project.host.address])).stderr,
    /what wakes box/,
  );
});

test('what a lying host tells of its card is refused', async () => {
  await using rig = new Rig();
  await using host = await LyingHost.start(rig);
  const project = host.project();
  const lies: unknown[] = [
    ['ff:ff:ff:ff:ff:ff'],
    ['\u001b]0;x\u0007'],
    ['x'.repeat(100_000)],
    Array.from({ length: 5 }, (_, index) => `02:00:00:00:00:0${index}`),
    'text',
    [7],
  ];
  for (const lie of lies) {
    host.serve(async (visit) => {
      await visit.greet({ hardware_addresses: lie });
      await visit.fallSilent();
    });
    const ran = await project.sh('true');
    assert.equal(ran.code, 125, ran.stderr);
    assert.match(ran.stderr, /the other side sent something wrong/);
    const about = { name: 'liar', version: '1', contexts: 0, now: '', hardware_addresses: lie };
    const body = JSON.stringify(about);
    host.serveControl((socket) => {
      socket.on('data', () =>
        socket.write(
          `HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
        ),
      );
    });
    const pinged = await project.client.rmtx(['ping'], { cwd: project.root });
    assert.match(pinged.stderr, /the other side sent something wrong/);
  }
  const woken = await project.client.rmtx(['wake', 'liar']);
  assert.match(woken.stderr, /what wakes liar is not known yet/);
});
