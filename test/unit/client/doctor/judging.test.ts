/** What each step makes of what it was told. */
import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { describe, test } from 'node:test';
import { judgeDisk } from '../../../../src/client/doctor/disk-step.js';
import { judgeInterface } from '../../../../src/client/doctor/interface-step.js';
import { fromArp, fromIpNeigh, fromProcArp } from '../../../../src/client/doctor/neighbour.js';
import { judgeClock } from '../../../../src/client/doctor/clock-step.js';
import { isVpn } from '../../../../src/client/doctor/route.js';
import { judgeTcp } from '../../../../src/client/doctor/tcp-step.js';
import type { DialedAddress } from '../../../../src/client/doctor/tcp-step.js';
import type { WayBack } from '../../../../src/client/doctor/way-back.js';
import type { Finding } from '../../../../src/client/doctor/verdict.js';
import type { LanInterface } from '../../../../src/discovery/lan-interfaces.js';

function codeOf(finding: Finding): string {
  return finding.verdict === 'ok' ? 'ok' : `${finding.verdict} ${finding.code}`;
}

/** A dial that came to nothing, at an address of our subnet, unless it says otherwise. */
function tried(errorCode: string, more: Partial<DialedAddress> = {}): DialedAddress {
  return {
    address: { host: '192.168.1.42', port: 33_221 },
    dial: { kind: 'closed', errorCode, elapsedMs: 3800 },
    isHeard: false,
    isNearby: true,
    neighbour: 'unknown',
    vpn: undefined,
    ...more,
  };
}

function judge(dialed: DialedAddress, wayBack?: WayBack): Finding {
  return judgeTcp({ dialed: [dialed], wayBack, platform: undefined, hearsOthers: false });
}

describe('what a dial that came to nothing means', () => {
  const far = { isNearby: false } as const;
  const beyond = { ...far, address: { host: '203.0.113.9', port: 33_221 } } as const;
  const cases: readonly (readonly [string, DialedAddress])[] = [
    ['host-not-running', tried('ECONNREFUSED')],
    ['firewall-here', tried('EPERM')],
    ['connection-cut', tried('ECONNRESET')],
    ['wrong-subnet', tried('ENETUNREACH', far)],
    ['asleep-or-off', tried('ETIMEDOUT', { neighbour: 'absent' })],
    ['asleep-or-off', tried('EHOSTUNREACH', { neighbour: 'absent' })],
    ['firewall', tried('ETIMEDOUT', { neighbour: 'present' })],
    ['firewall', tried('EHOSTUNREACH', { neighbour: 'present' })],
    ['firewall', tried('ETIMEDOUT', { isHeard: true })],
    ['firewall', tried('ECONNREFUSED', { isHeard: true })],
    ['firewall-or-asleep', tried('ETIMEDOUT')],
    ['wrong-subnet', tried('ETIMEDOUT', far)],
    ['wrong-subnet', tried('EHOSTUNREACH', far)],
    ['firewall-or-asleep', tried('ETIMEDOUT', beyond)],
    ['vpn', tried('ETIMEDOUT', { vpn: 'tun0' })],
  ];
  for (const [code, dialed] of cases) {
    const { dial, address, ...rest } = dialed;
    const errorCode = dial.kind === 'closed' ? dial.errorCode : '';
    test(`${code}: ${address.host} ${errorCode} ${JSON.stringify(rest)}`, () => {
      assert.equal(codeOf(judge(dialed)), `failed ${code}`);
    });
  }

  test('the rule that is shown is that of the host’s system, where it is known', () => {
    for (const [platform, line] of [
      ['linux', /firewall-cmd/],
      ['darwin', /socketfilterfw/],
      ['win32', /New-NetFirewallRule/],
    ] as const) {
      const dialed = [tried('ETIMEDOUT', { isHeard: true })];
      const finding = judgeTcp({ dialed, platform, hearsOthers: false, wayBack: undefined });
      assert.ok(finding.verdict === 'failed');
      assert.match(finding.cure.join('\n'), line);
      assert.equal(
        finding.cure.filter((each) => /ufw|New-NetFirewallRule|socketfilterfw/.test(each)).length,
        1,
      );
    }
  });
});

describe('what it means for a host that was asked to dial back', () => {
  const cases: readonly (readonly [string, DialedAddress])[] = [
    ['firewall', tried('ETIMEDOUT')],
    ['firewall', tried('ETIMEDOUT', { isNearby: false })],
    ['firewall', tried('ETIMEDOUT', { vpn: 'tun0' })],
    ['firewall', tried('ECONNREFUSED')],
    ['firewall-here', tried('EPERM')],
  ];
  for (const [code, dialed] of cases)
    test(`and does: ${code} ${JSON.stringify(dialed)}`, () => {
      const stream = new Socket();
      const finding = judge(dialed, { kind: 'open', address: dialed.address, stream });
      assert.equal(codeOf(finding), `warning ${code}`);
      assert.ok(finding.verdict === 'warning');
      assert.match(finding.detail, /, but the host dials back when asked to \(UDP\)$/);
    });

  test('and does not, though it has answered: it is neither asleep nor off', () => {
    const wayBack: WayBack = { kind: 'closed', reason: 'it did not dial back', isThere: true };
    for (const errorCode of ['ETIMEDOUT', 'ECONNREFUSED', 'EHOSTUNREACH'])
      assert.equal(codeOf(judge(tried(errorCode), wayBack)), 'failed firewall');
    assert.equal(codeOf(judge(tried('ETIMEDOUT', { vpn: 'tun0' }), wayBack)), 'failed firewall');
  });

  test('and does not: why, and how it could, unless it is not there', () => {
    const wayBack: WayBack = { kind: 'closed', reason: 'nobody \u001b', hint: 'open it' };
    const finding = judge(tried('ECONNREFUSED'), wayBack);
    assert.ok(finding.verdict === 'failed');
    assert.match(
      finding.detail,
      /^192\.168\.1\.42:33221 refuses the connection, and nobody \\x1b$/,
    );
    assert.equal(finding.cure.at(-1), 'or let it dial back: open it');
    const asleep = judge(tried('ETIMEDOUT', { neighbour: 'absent' }), wayBack);
    assert.ok(asleep.verdict === 'failed');
    assert.doesNotMatch(asleep.cure.join(), /dial back/);
  });
});

describe('the neighbour table', () => {
  test('of Linux: only what was confirmed counts', () => {
    assert.equal(fromIpNeigh('10.0.0.2 dev eth0 lladdr 02:00:00:00:00:01 REACHABLE\n'), 'present');
    assert.equal(fromIpNeigh('10.0.0.2 dev eth0 FAILED\n'), 'absent');
    assert.equal(fromIpNeigh('10.0.0.2 dev eth0 INCOMPLETE\n'), 'absent');
    for (const state of ['STALE', 'DELAY', 'PROBE'])
      assert.equal(fromIpNeigh(`10.0.0.2 dev eth0 lladdr 02:00:00:00:00:01 ${state}\n`), 'unknown');
    assert.equal(fromIpNeigh(''), 'unknown');
  });

  test('of /proc and of arp(8): absence alone is known', () => {
    const table =
      'IP address       HW type     Flags       HW address            Mask     Device\n' +
      '10.0.0.2         0x1         0x0         00:00:00:00:00:00     *        eth0\n' +
      '10.0.0.20        0x1         0x2         02:00:00:00:00:01     *        eth0\n';
    assert.equal(fromProcArp(table, '10.0.0.2'), 'absent');
    assert.equal(fromProcArp(table, '10.0.0.20'), 'unknown');
    assert.equal(fromProcArp(table, '10.0.0.3'), 'unknown');
    assert.equal(fromArp('? (10.0.0.2) at (incomplete) on en0 ifscope [ethernet]\n'), 'absent');
    assert.equal(fromArp('? (10.0.0.2) at 2:0:0:0:0:1 on en0 ifscope [ethernet]\n'), 'unknown');
  });
});

describe('the way to the host', () => {
  const eth0: LanInterface = {
    name: 'eth0',
    isLoopback: false,
    ipv4: [{ address: '192.168.1.7', cidr: '192.168.1.7/24', broadcast: '192.168.1.255' }],
    zone: undefined,
    ipv6: [],
  };
  const utun: LanInterface = {
    ...eth0,
    name: 'utun3',
    ipv4: [{ address: '10.8.0.2', cidr: '10.8.0.2/24', broadcast: '10.8.0.255' }],
  };
  const judge = (target: string, source: string, interfaces = [eth0, utun]): Finding =>
    judgeInterface({ target, way: { source }, interfaces, isHeardElsewhere: false });

  test('leads through the network, or the VPN that stands aside or takes it all', () => {
    const well = judge('192.168.1.42', '192.168.1.7');
    assert.equal(well.verdict, 'ok');
    assert.match(well.detail, /eth0 .*same subnet.*VPN utun3 is not on the way/);
    const taken = judge('192.168.1.42', '10.8.0.2');
    assert.ok(taken.verdict === 'warning');
    assert.match(taken.cause, /taken over the way into the local network/);
    assert.equal(codeOf(judge('10.8.0.9', '10.8.0.2')), 'warning vpn');
    assert.match(judge('192.168.2.2', '192.168.1.7').detail, /another subnet/);
    assert.match(judge('203.0.113.9', '192.168.1.7').detail, /beyond a router/);
  });

  test('does not exist', () => {
    const facts = { target: '10.9.9.9', way: { errorCode: 'ENETUNREACH' }, interfaces: [eth0] };
    assert.equal(codeOf(judgeInterface({ ...facts, isHeardElsewhere: false })), 'failed no-route');
    assert.equal(codeOf(judgeInterface({ ...facts, isHeardElsewhere: true })), 'warning no-route');
    const none = { ...facts, interfaces: [], isHeardElsewhere: false };
    assert.equal(codeOf(judgeInterface(none)), 'failed no-network');
  });

  test('tunnels are known by their names', () => {
    for (const name of ['tun0', 'wg0', 'utun3', 'tailscale0', 'ppp0']) assert.ok(isVpn({ name }));
    for (const name of ['eth0', 'en0', 'wlan0', 'docker0', 'enp3s0']) assert.ok(!isVpn({ name }));
  });
});

test('a disk is full, nearly full, or has room', () => {
  assert.equal(codeOf(judgeDisk(0)), 'failed disk-full');
  assert.equal(codeOf(judgeDisk(5e8)), 'warning disk-full');
  assert.equal(codeOf(judgeDisk(5e9)), 'ok');
  assert.equal(codeOf(judgeDisk(undefined)), 'ok');
});

test('a clock is wrong only beyond what the way explains', () => {
  const at = (hostMs: number, rttMs = 10): string =>
    codeOf(
      judgeClock({
        name: '',
        version: '',
        freeBytes: undefined,
        ownMs: 1e12,
        hostMs: 1e12 + hostMs,
        rttMs,
      }),
    );
  assert.deepEqual(
    [at(0), at(29_000), at(-31_000), at(3.6e6)],
    ['ok', 'ok', 'warning clock', 'warning clock'],
  );
  assert.equal(at(31_000, 2000), 'ok');
  assert.equal(at(NaN), 'warning clock');
});
