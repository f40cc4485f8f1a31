import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  CALL_BYTES,
  COOKIE_BYTES,
  decodeCallPacket,
  encodeCall,
  encodeCallBack,
  encodeCookie,
} from '../../../src/discovery/call-packets.js';
import type { WantedCallBack } from '../../../src/discovery/call-packets.js';
import { MAX_PACKET_BYTES, NONCE_BYTES } from '../../../src/discovery/packet-frame.js';
import { decodePacket } from '../../../src/discovery/packets.js';
import type { PeerId } from '../../../src/trust/fingerprint.js';

const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((each) => Buffer.from(each));
/** Equal in depth to what a literal makes. */
const NO_NULL = { noNullPrototype: true };
const nonces = bytes(NONCE_BYTES);
const services = fc.stringMatching(/^[a-z0-9-]{1,63}$/);
const answers = fc.record(
  {
    cookie: bytes(COOKIE_BYTES),
    identityPrefix: fc.stringMatching(/^[0-9a-f]{16}$/) as fc.Arbitrary<PeerId>,
  },
  NO_NULL,
);
const wantedCallBacks: fc.Arbitrary<WantedCallBack> = fc.record(
  {
    cookie: bytes(COOKIE_BYTES),
    port: fc.integer({ min: 1, max: 0xffff }),
    proof: fc.option(fc.record({ spki: bytes(91), signature: bytes(64) }, NO_NULL), {
      nil: undefined,
    }),
  },
  NO_NULL,
);

describe('the packets of a call', () => {
  test('arrive as they were sent, and are no packets of another kind', () => {
    fc.assert(
      fc.property(
        services,
        fc.tuple(answers, wantedCallBacks),
        nonces,
        (service, [answer, wanted], nonce) => {
          const packets = [
            [encodeCall(service, nonce), { kind: 'call', nonce, service }],
            [encodeCookie(answer, nonce), { kind: 'cookie', nonce, answer }],
            [encodeCallBack(wanted, nonce), { kind: 'call-back', nonce, wanted }],
          ] as const;
          for (const [packet, expected] of packets) {
            assert.deepEqual(decodeCallPacket(packet), expected);
            assert.equal(decodePacket(packet), undefined);
            assert.ok(packet.length <= MAX_PACKET_BYTES);
          }
          assert.equal(packets[0][0].length, CALL_BYTES);
          assert.ok(packets[1][0].length <= CALL_BYTES, 'an answer is never larger');
        },
      ),
    );
  });

  test('random bytes, and packets cut short or changed, are refused or read, never worse', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (random) => {
        assert.equal(decodeCallPacket(Buffer.from(random)), undefined);
      }),
    );
    const changes = fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(wantedCallBacks, changes, fc.nat(300), (wanted, edits, kept) => {
        const packet = encodeCallBack(wanted, Buffer.alloc(NONCE_BYTES, 5));
        assert.equal(decodeCallPacket(packet.subarray(0, Math.min(kept, 32))), undefined);
        for (const [at, value] of edits) packet[at % packet.length] = value;
        const read = decodeCallPacket(packet.subarray(0, kept));
        if (read?.kind !== 'call-back') return;
        assert.equal(read.wanted.cookie.length, COOKIE_BYTES);
        assert.ok(read.wanted.port > 0);
        assert.ok([undefined, 64].includes(read.wanted.proof?.signature.length));
      }),
    );
  });

  test('half a proof, and one that is too short or too long, is not the question of a stranger', () => {
    const cookie = Buffer.alloc(COOKIE_BYTES, 1);
    const nonce = Buffer.alloc(NONCE_BYTES, 2);
    const whole = { spki: Buffer.alloc(91, 3), signature: Buffer.alloc(64, 4) };
    const read = (proof: WantedCallBack['proof']) =>
      decodeCallPacket(encodeCallBack({ cookie, port: 5000, proof }, nonce));
    const without = encodeCallBack({ cookie, port: 5000, proof: whole }, nonce).subarray(0, -66);
    assert.equal(read(whole)?.kind, 'call-back');
    assert.equal(decodeCallPacket(without), undefined);
    assert.equal(read({ ...whole, spki: Buffer.alloc(90) }), undefined);
    assert.equal(read({ ...whole, signature: Buffer.alloc(65) }), undefined);
    assert.equal(
      decodeCallPacket(encodeCallBack({ cookie, port: 0, proof: whole }, nonce)),
      undefined,
    );
  });
});
