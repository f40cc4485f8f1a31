/** `rmtx doctor` on networks that are broken in one way each: machines are network namespaces. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { diagnose, stepOf, verdictOf } from '../support/diagnosis.js';
import type { Diagnosis } from '../support/diagnosis.js';
import { Lan, noFirewall, noLan } from '../support/lan.js';
import type { Machine } from '../support/lan.js';
import { Rig } from '../support/rig.js';
import type { RigHost, RigProject } from '../support/rig.js';

const BOX = '10.77.0.2';
const LAPTOP = '10.77.0.4';

/** A host and a laptop that is paired with it, on one network. */
class Room implements AsyncDisposable {
  readonly rig: Rig;
  readonly lan: Lan;
  readonly box: Machine;
  readonly laptop: Machine;
  readonly host: RigHost;
  readonly project: RigProject;

  private constructor(parts: Omit<Room, 'diagnose' | typeof Symbol.asyncDispose>) {
    this.rig = parts.rig;
    this.lan = parts.lan;
    this.box = parts.box;
    this.laptop = parts.laptop;
    this.host = parts.host;
    this.project = parts.project;
  }

  static async open(): Promise<Room> {
    const rig = new Rig();
    const lan = new Lan();
    try {
      const box = lan.machine({ ipv4: BOX, hasIpv6: false });
      const laptop = lan.machine({ ipv4: LAPTOP, hasIpv6: false });
      const args = ['--listen', ':33221'];
      const host = await rig.host({ wrap: box.wrap, service: 'rmtx', args });
      const client = rig.client();
      client.befriend(host, `${BOX}:33221`);
      const project = client.project({ '.rmtx.json': '{ "version": 1 }' }, { host });
      return new Room({ rig, lan, box, laptop, host, project });
    } catch (error) {
      await rig[Symbol.asyncDispose]();
      lan[Symbol.dispose]();
      throw error;
    }
  }

  diagnose(...args: readonly string[]): Promise<Diagnosis> {
    return diagnose(this.project, args, { wrap: this.laptop.wrap });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rig[Symbol.asyncDispose]();
    this.lan[Symbol.dispose]();
  }
}

describe('doctor on a network', { skip: noLan(), concurrency: 2 }, () => {
  test('finds nothing wrong where all is well', async () => {
    await using room = await Room.open();
    const diagnosis = await room.diagnose();
    assert.equal(verdictOf(diagnosis), 'well');
    assert.equal(stepOf(diagnosis, 'udp').verdict, 'ok');
    assert.match(
      stepOf(diagnosis, 'interface').detail ?? '',
      /^eth0 \(10\.77\.0\.4\), same subnet/,
    );
    const far = await room.diagnose('--host', '127.0.0.1:9');
    assert.equal(verdictOf(far), 'tcp: host-not-running');
  });

  test('nobody has the address: asleep, off or moved away', async () => {
    await using room = await Room.open();
    await room.host.kill();
    room.box.ip('link', 'set', 'eth0', 'down');
    room.laptop.ip('neigh', 'flush', 'all');
    const diagnosis = await room.diagnose();
    assert.equal(verdictOf(diagnosis), 'tcp: asleep-or-off');
    assert.match(stepOf(diagnosis, 'tcp').cause ?? '', /asleep or off.*client isolation/);
    assert.equal(stepOf(diagnosis, 'udp').verdict, 'warning');
  });

  test('others on the network answer, and the host does not', async () => {
    await using room = await Room.open();
    await room.host.kill();
    room.box.ip('link', 'set', 'eth0', 'down');
    room.laptop.ip('neigh', 'flush', 'all');
    const other = room.lan.machine({ ipv4: '10.77.0.3', hasIpv6: false });
    const args = ['--listen', ':33221'];
    await room.rig.host({ name: 'attic', wrap: other.wrap, service: 'rmtx', args });
    const diagnosis = await room.diagnose();
    assert.equal(verdictOf(diagnosis), 'tcp: asleep-or-off');
    assert.match(stepOf(diagnosis, 'udp').detail ?? '', /others are: attic$/);
    assert.match(stepOf(diagnosis, 'tcp').cause ?? '', /others on this network do answer/);
  });

  test('the host has another address now, and is found there', async () => {
    await using room = await Room.open();
    room.box.ip('addr', 'flush', 'dev', 'eth0');
    room.box.ip('addr', 'add', '10.77.0.77/24', 'dev', 'eth0');
    const diagnosis = await room.diagnose();
    assert.equal(verdictOf(diagnosis), 'well');
    assert.equal(stepOf(diagnosis, 'udp').code, 'moved');
    assert.equal(stepOf(diagnosis, 'tcp').code, 'moved');
    assert.match(stepOf(diagnosis, 'tcp').detail ?? '', /^10\.77\.0\.77:33221 takes connections/);
    assert.match(stepOf(diagnosis, 'tcp').cure ?? '', /rmtx exec/);
  });

  test('wrong subnet: no way leads there, or a router leads nowhere', async () => {
    await using room = await Room.open();
    const noWay = await room.diagnose('--host', '192.168.9.9');
    assert.equal(verdictOf(noWay), 'interface: no-route');
    assert.match(stepOf(noWay, 'interface').cause ?? '', /wrong subnet/);
    const router = room.lan.machine({ ipv4: '10.77.0.1', hasIpv6: false });
    room.laptop.ip('route', 'add', 'default', 'via', '10.77.0.1');
    router.run('sh', '-c', 'echo 0 >/proc/sys/net/ipv4/ip_forward');
    const lost = await room.diagnose('--host', '192.168.9.9');
    assert.equal(verdictOf(lost), 'tcp: wrong-subnet');
  });

  test('no network at all', async () => {
    await using room = await Room.open();
    room.laptop.ip('link', 'set', 'eth0', 'down');
    assert.equal(verdictOf(await room.diagnose()), 'interface: no-network');
  });

  test('a VPN takes what is for the host', async () => {
    await using room = await Room.open();
    const { laptop } = room;
    laptop.ip('link', 'add', 'wg0', 'type', 'veth', 'peer', 'name', 'elsewhere');
    for (const end of ['wg0', 'elsewhere']) laptop.ip('link', 'set', end, 'up');
    laptop.ip('addr', 'add', '10.88.0.1/24', 'dev', 'wg0');
    laptop.ip('route', 'add', `${BOX}/32`, 'dev', 'wg0', 'src', '10.88.0.1');
    const diagnosis = await room.diagnose('--host', BOX);
    assert.equal(verdictOf(diagnosis), 'tcp: vpn');
    assert.equal(stepOf(diagnosis, 'interface').code, 'vpn');
    assert.match(stepOf(diagnosis, 'tcp').cause ?? '', /wg0/);
  });
});

describe('doctor behind a firewall', { skip: noLan() || noFirewall(), concurrency: 3 }, () => {
  test('that drops TCP: the host dials back, and the rule for its system is named', async () => {
    await using room = await Room.open();
    room.box.dropTcp(33_221);
    const diagnosis = await room.diagnose();
    assert.equal(verdictOf(diagnosis), 'well');
    const { verdict, code, detail = '', cure = '', cause = '' } = stepOf(diagnosis, 'tcp');
    assert.deepEqual([verdict, code], ['warning', 'firewall']);
    assert.match(detail, /^10\.77\.0\.2:33221 did not answer in .*, but the host dials back/);
    assert.match(cause, /a firewall on it drops TCP 33221/);
    assert.match(cure, /^ufw: sudo ufw allow 33221\/tcp$/m);
    assert.doesNotMatch(cure, /Windows/);
    assert.match(stepOf(diagnosis, 'tls').detail ?? '', /, which dialled back$/);
    assert.equal(stepOf(diagnosis, 'run').verdict, 'ok');
  });

  test('that rejects TCP: the host dials back all the same', async () => {
    await using room = await Room.open();
    room.box.refuseTcp('reject with tcp reset');
    const diagnosis = await room.diagnose('--host', BOX);
    assert.equal(verdictOf(diagnosis), 'well');
    const { verdict, code, detail = '', cause = '', cure = '' } = stepOf(diagnosis, 'tcp');
    assert.deepEqual([verdict, code], ['warning', 'firewall']);
    assert.match(detail, /refuses the connection, but the host dials back/);
    assert.match(cause, /rejects TCP 33221; or it listens on another port/);
    assert.match(cure, /^ufw: sudo ufw allow 33221\/tcp$/m);
    assert.equal(stepOf(diagnosis, 'run').verdict, 'ok');
  });

  test('that drops TCP, and one here that keeps the host from dialling back', async () => {
    await using room = await Room.open();
    room.box.dropTcp(33_221);
    room.laptop.refuseTcp();
    // Answers to a question of ours come in all the same.
    room.laptop.dropUdp(33_222, 5353);
    const diagnosis = await room.diagnose();
    assert.equal(verdictOf(diagnosis), 'tcp: firewall');
    const { detail = '', cure = '' } = stepOf(diagnosis, 'tcp');
    assert.match(detail, /did not answer in .*, and it did not dial back when asked to$/);
    assert.match(cure, /^or let it dial back: the firewall of this machine keeps it out/m);
  });

  test('that drops TCP, with a config that wants nothing asked', async () => {
    await using room = await Room.open();
    room.box.dropTcp(33_221);
    room.project.write({ '.rmtx.json': '{"version":1,"discovery":{"enabled":false}}' });
    const diagnosis = await room.diagnose();
    assert.equal(verdictOf(diagnosis), 'tcp: firewall');
    assert.match(
      stepOf(diagnosis, 'tcp').detail ?? '',
      /, and it was not asked to dial back: discovery is off in the config$/,
    );
  });

  test('that drops everything of ours: the neighbour table tells it from sleep', async () => {
    await using room = await Room.open();
    room.box.dropTcp(33_221);
    room.box.dropUdp(33_222, 5353);
    room.laptop.dropUdp(33_222, 5353);
    const diagnosis = await room.diagnose();
    assert.equal(verdictOf(diagnosis), 'tcp: firewall');
    const { detail = '', cause = '', cure = '' } = stepOf(diagnosis, 'tcp');
    assert.match(
      detail,
      /^10\.77\.0\.2:33221 did not answer in .*, and 10\.77\.0\.2 does not answer on UDP 33222 either/,
    );
    assert.match(cause, /a firewall on it drops TCP 33221/);
    assert.match(cure, /^windows: New-NetFirewallRule/m);
    assert.match(cure, /^or let it dial back: its firewall has to let in the one or the other$/m);
  });

  test('that drops UDP alone: a warning, and all else is well', async () => {
    await using room = await Room.open();
    room.box.dropUdp(33_222, 5353);
    room.laptop.dropUdp(33_222, 5353);
    const diagnosis = await room.diagnose();
    assert.equal(verdictOf(diagnosis), 'well');
    const { verdict, code, cause = '' } = stepOf(diagnosis, 'udp');
    assert.deepEqual([verdict, code], ['warning', 'firewall']);
    assert.match(cause, /UDP 33222.*client isolation/);
  });
});
