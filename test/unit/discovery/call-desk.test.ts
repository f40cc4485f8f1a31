import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { RemoteInfo } from 'node:dgram';
import { describe, test } from 'node:test';
import { CallDesk } from '../../../src/discovery/call-desk.js';
import type { CallBackRequest } from '../../../src/discovery/call-desk.js';
import {
  COOKIE_BYTES,
  decodeCallPacket,
  encodeCall,
  encodeCallBack,
} from '../../../src/discovery/call-packets.js';
import { NONCE_BYTES } from '../../../src/discovery/packet-frame.js';
import type { PeerId } from '../../../src/trust/fingerprint.js';

const SOURCE: RemoteInfo = { address: '10.0.0.4', port: 5000, family: 'IPv4', size: 0 };

class Scene {
  nowMs = 1_000_000;
  readonly requests: CallBackRequest[] = [];
  readonly replies: { bytes: Buffer; to: RemoteInfo }[] = [];
  readonly desk = new CallDesk({
    service: 'rmtx',
    identityPrefix: '0123456789abcdef' as PeerId,
    onCallBack: (request) => this.requests.push(request),
    reply: (bytes, to) => this.replies.push({ bytes, to }),
    now: () => this.nowMs,
  });

  cookie(nonce: Buffer, from = SOURCE): Buffer {
    this.desk.take(encodeCall('rmtx', nonce), from);
    const packet = decodeCallPacket(this.replies.at(-1)?.bytes ?? Buffer.alloc(0));
    assert.ok(packet?.kind === 'cookie' && packet.nonce.equals(nonce));
    return packet.answer.cookie;
  }

  callBack(cookie: Buffer, nonce: Buffer, from = SOURCE): number {
    this.desk.take(encodeCallBack({ cookie, port: 4000, proof: undefined }, nonce), from);
    return this.requests.length;
  }
}

describe('who calls', () => {
  test('and brings the cookie back from the same place is heard, once', () => {
    const scene = new Scene();
    const nonce = randomBytes(NONCE_BYTES);
    const cookie = scene.cookie(nonce);
    assert.equal(scene.callBack(cookie, nonce), 1);
    assert.deepEqual(scene.requests, [
      { cookie, nonce, port: 4000, proof: undefined, source: '10.0.0.4' },
    ]);
    for (let again = 0; again < 5; again++) assert.equal(scene.callBack(cookie, nonce), 1);
    const proof = { spki: Buffer.alloc(91), signature: Buffer.alloc(64) };
    scene.desk.take(encodeCallBack({ cookie, port: 4001, proof }, nonce), SOURCE);
    assert.equal(scene.requests.length, 1);
  });

  test('from another address or port, with another nonce or a made-up cookie, is not heard', () => {
    const scene = new Scene();
    const nonce = randomBytes(NONCE_BYTES);
    const cookie = scene.cookie(nonce);
    scene.callBack(cookie, nonce, { ...SOURCE, address: '10.0.0.5' });
    scene.callBack(cookie, nonce, { ...SOURCE, port: 5001 });
    scene.callBack(cookie, randomBytes(NONCE_BYTES));
    scene.callBack(randomBytes(COOKIE_BYTES), nonce);
    const elsewhere = new Scene();
    assert.equal(elsewhere.callBack(cookie, nonce), 0, 'another start of the host');
    assert.equal(scene.requests.length, 0);
    assert.equal(scene.callBack(cookie, nonce), 1);
  });

  test('has ten seconds at least and twenty at most', () => {
    const scene = new Scene();
    for (let startMs = 0; startMs < 20_000; startMs += 997) {
      scene.nowMs = 2_000_000 + startMs;
      const nonce = randomBytes(NONCE_BYTES);
      const inTime = scene.cookie(nonce);
      const other = randomBytes(NONCE_BYTES);
      const late = scene.cookie(other);
      const before = scene.requests.length;
      scene.nowMs += 10_000;
      assert.equal(scene.callBack(inTime, nonce), before + 1);
      scene.nowMs += 10_000;
      assert.equal(scene.callBack(late, other), before + 1);
    }
  });

  test('of another service gets no answer, and neither does a flood, nor a call that is too short', () => {
    const scene = new Scene();
    const nonce = randomBytes(NONCE_BYTES);
    scene.desk.take(encodeCall('other', nonce), SOURCE);
    scene.desk.take(encodeCall('rmtx', nonce).subarray(0, 24), { ...SOURCE, address: '10.0.0.9' });
    assert.equal(scene.replies.length, 0);
    for (let call = 0; call < 1000; call++) scene.desk.take(encodeCall('rmtx', nonce), SOURCE);
    assert.equal(scene.replies.length, 20);
    const neighbour = { ...SOURCE, address: '10.0.0.9' };
    scene.cookie(nonce, neighbour);
    for (let call = 0; call < 1000; call++)
      scene.desk.take(encodeCall('rmtx', nonce), { ...SOURCE, address: `10.0.1.${call}` });
    assert.equal(scene.replies.length, 100, 'for all of them together');
  });
});
