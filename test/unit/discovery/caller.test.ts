import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import type { RemoteInfo, Socket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { decodeCallPacket, encodeCookie } from '../../../src/discovery/call-packets.js';
import { Caller } from '../../../src/discovery/caller.js';
import type { PeerId } from '../../../src/trust/fingerprint.js';

const answer = { cookie: Buffer.alloc(16, 7), identityPrefix: '0123456789abcdef' as PeerId };
const never = new AbortController().signal;

async function listener(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

test('a call is heard though two packets were lost, and though a stranger answers first', async () => {
  const host = await listener();
  const stranger = await listener();
  let calls = 0;
  host.on('message', (bytes: Buffer, from: RemoteInfo) => {
    const packet = decodeCallPacket(bytes);
    if (packet?.kind !== 'call') return;
    assert.equal(packet.service, 'rmtx');
    calls += 1;
    const lie = { ...answer, cookie: Buffer.alloc(16, 9) };
    stranger.send(encodeCookie(lie, packet.nonce), from.port, from.address);
    host.send(encodeCookie(lie, Buffer.alloc(8)), from.port, from.address);
    if (calls === 3) host.send(encodeCookie(answer, packet.nonce), from.port, from.address);
  });
  try {
    using caller = await Caller.to('127.0.0.1', host.address().port);
    assert.equal(caller.localAddress, '127.0.0.1');
    assert.deepEqual(await caller.ask('rmtx', never), answer);
    assert.equal(calls, 3);
  } finally {
    host.close();
    stranger.close();
  }
});

test('where nobody listens, that is known at once; who gives up is heard at once', async () => {
  const socket = await listener();
  const { port } = socket.address();
  using waiting = await Caller.to('127.0.0.1', port);
  const giveUp = new AbortController();
  const asked = waiting.ask('rmtx', giveUp.signal);
  giveUp.abort(new Error('enough'));
  await assert.rejects(asked, /enough/);
  socket.close();
  await once(socket, 'close');
  using caller = await Caller.to('127.0.0.1', port);
  await assert.rejects(caller.ask('rmtx', never), /ECONNREFUSED/);
});
