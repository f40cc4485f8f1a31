import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { findHosts, findPinned } from '../../../src/discovery/find-hosts.js';
import { interfacesOf, lanInterfaces } from '../../../src/discovery/lan-interfaces.js';
import {
  decodePacket,
  encodeAnnouncement,
  encodeAnswer,
  encodeQuery,
} from '../../../src/discovery/packets.js';
import type { HostFacts } from '../../../src/discovery/packets.js';
import { Responder } from '../../../src/discovery/responder.js';
import type { DiscoveredHost } from '../../../src/discovery/sightings.js';
import type { PeerId } from '../../../src/trust/fingerprint.js';

const box: HostFacts = {
  service: 'rmtx',
  name: 'box',
  port: 33_221,
  identityPrefix: '00000000000000aa' as PeerId,
  isPairingOpen: false,
  os: 'linux',
};
const attic: HostFacts = { ...box, name: 'attic', identityPrefix: 'bb'.repeat(8) as PeerId };

const loopback = () => interfacesOf(lanInterfaces(), '127.0.0.1');
/** Longer than any answer takes; no test waits for it that does not say so. */
const LONG_MS = 20_000;

/** A port that nobody uses: each test has a network of its own. */
async function freePort(): Promise<number> {
  await using socket = await opened(0);
  return socket.address().port;
}

/** Hears what is sent to everybody, and can say anything. */
async function opened(port: number, address = '0.0.0.0'): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  socket.bind(port, address);
  await once(socket, 'listening');
  socket.setBroadcast(true);
  return socket;
}

function host(port: number, facts: HostFacts | (() => HostFacts) = box): Responder {
  return new Responder({
    facts: typeof facts === 'function' ? facts : () => facts,
    listening: '127.0.0.1',
    port,
  });
}

function look(port: number, onHost: (host: DiscoveredHost) => 'enough' | undefined) {
  const common = { service: 'rmtx', interfaces: loopback, hasDnsSd: false, port };
  return findHosts({ ...common, timeoutMs: LONG_MS, onHost });
}

describe('on one machine', () => {
  test('two hosts are found, each with what it says of itself', async () => {
    const port = await freePort();
    await using _box = host(port);
    await using _attic = host(port, { ...attic, isPairingOpen: true, loadPercent: 7 });
    const names = new Set<string>();
    const found = await look(port, ({ name }) =>
      names.add(name).size === 2 ? 'enough' : undefined,
    );
    assert.deepEqual(
      found.map(({ name, facts, addresses }) => [name, facts.isPairingOpen, addresses]),
      [
        ['attic', true, [{ host: '127.0.0.1', port: 33_221 }]],
        ['box', false, [{ host: '127.0.0.1', port: 33_221 }]],
      ],
    );
    assert.equal(found[0]?.facts.loadPercent, 7);
  });

  test('looking ends when it is told to, and so long after the first host', async () => {
    const port = await freePort();
    await using _box = host(port);
    const common = { service: 'rmtx', interfaces: loopback, hasDnsSd: false, port };
    const settled = await findHosts({ ...common, timeoutMs: LONG_MS, settleMs: 1 });
    assert.deepEqual(
      settled.map(({ name }) => name),
      ['box'],
    );
    const abort = new AbortController();
    const aborted = findHosts({
      ...common,
      service: 'another',
      timeoutMs: LONG_MS,
      abortSignal: abort.signal,
    });
    abort.abort();
    assert.deepEqual(await aborted, []);
    const never = { ...common, timeoutMs: LONG_MS, abortSignal: AbortSignal.abort() };
    assert.deepEqual(await findHosts(never), []);
    assert.deepEqual(await findHosts({ ...common, service: 'another', timeoutMs: 1 }), []);
  });

  test('a pinned host is found at every address that claims it, and nobody else', async () => {
    const port = await freePort();
    await using _box = host(port);
    await using _attic = host(port, { ...attic, port: 1 });
    await using _liar = host(port, { ...box, name: 'no box', port: 2 });
    const ports = new Set<number>();
    const claims = findPinned({
      service: 'rmtx',
      identityPrefixes: [box.identityPrefix],
      interfaces: loopback,
      hasDnsSd: false,
      port,
      abortSignal: new AbortController().signal,
    });
    for await (const address of claims) if (ports.add(address.port).size === 2) break;
    assert.deepEqual(
      [...ports].sort((a, b) => a - b),
      [2, 33_221],
    );
    const nobody = findPinned({
      service: 'rmtx',
      identityPrefixes: ['cc'.repeat(8) as PeerId],
      interfaces: loopback,
      hasDnsSd: false,
      port,
      timeoutMs: 50,
      abortSignal: new AbortController().signal,
    });
    for await (const address of nobody) assert.fail(JSON.stringify(address));
  });

  test('an announcement is heard by who asks in vain', async () => {
    const port = await freePort();
    // Stands for a host that no question reaches: it announces, and answers nothing.
    await using deaf = await opened(port);
    const questions = once(deaf, 'message');
    const found = look(port, () => 'enough');
    await questions;
    deaf.send(encodeAnnouncement(box), port, '127.255.255.255');
    assert.deepEqual(
      (await found).map(({ name }) => name),
      ['box'],
    );
  });
});

describe('a client takes', () => {
  test('no answer to another question, and no noise', async () => {
    const port = await freePort();
    await using liar = await opened(port);
    liar.on('message', (bytes, from) => {
      const query = decodePacket(bytes);
      if (query?.kind !== 'query') return;
      const say = (answer: Buffer): void => {
        liar.send(answer, from.port, from.address);
      };
      say(encodeAnswer({ ...box, name: 'guess' }, Buffer.alloc(8)));
      say(Buffer.from('RMTX and so on'));
      say(Buffer.alloc(60_000, 1));
      say(bytes);
      say(encodeAnswer({ ...box, service: 'other', name: 'other' }, query.nonce));
      say(encodeAnswer(box, query.nonce));
    });
    const found = await look(port, () => 'enough');
    assert.deepEqual(
      found.map(({ name }) => name),
      ['box'],
    );
  });
});

describe('a host', () => {
  test('announces itself at once, and a pairing window before the next period', async () => {
    const port = await freePort();
    await using ear = await opened(port);
    let isPairingOpen = false;
    const heard = (wanted: boolean): Promise<void> =>
      new Promise((resolve) =>
        ear.on('message', (bytes) => {
          const packet = decodePacket(bytes);
          if (packet?.kind === 'announcement' && packet.host.isPairingOpen === wanted) resolve();
        }),
      );
    const first = heard(false);
    await using _box = host(port, () => ({ ...box, isPairingOpen }));
    await first;
    isPairingOpen = true;
    const startedAt = performance.now();
    await heard(true);
    assert.ok(performance.now() - startedAt < 9000);
  });

  const skip = process.platform === 'linux' ? false : 'needs a second loopback address';
  test('answers whoever asks on and on only so often, and never with more', { skip }, async () => {
    const port = await freePort();
    await using _box = host(port);
    await using asker = await opened(0);
    const answers: Buffer[] = [];
    asker.on('message', (bytes) => answers.push(bytes));
    const query = encodeQuery('rmtx', Buffer.alloc(8, 3));
    // One at a time: the host lives on the same event loop, and the system keeps only so many for it.
    const send = (from: Socket, bytes: Buffer): Promise<void> =>
      new Promise((resolve) =>
        from.send(bytes, port, '127.0.0.1', () => setImmediate(() => resolve())),
      );
    for (let n = 0; n < 500; n++) await send(asker, query);
    // A stranger with questions of his own, some so short that the answer would be larger.
    await using other = await opened(0, '127.0.0.3');
    const answered = once(other, 'message');
    for (let n = 0; n < 5; n++) await send(other, query.subarray(0, query.indexOf('rmtx') + 4));
    await send(other, encodeQuery('rmtx', Buffer.alloc(8, 4)));
    const packet = decodePacket(((await answered) as [Buffer])[0]);
    assert.deepEqual(packet?.kind === 'answer' && packet.nonce, Buffer.alloc(8, 4));
    assert.ok(answers.length > 0 && answers.length < 60, `${answers.length} answers`);
    assert.ok(answers.every((answer) => answer.length <= query.length));
  });
});
