import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MAX_PACKET_BYTES, NONCE_BYTES, looksLike } from '../../../src/discovery/packet-frame.js';
import {
  QUERY_BYTES,
  announcedName,
  decodePacket,
  encodeAnnouncement,
  encodeAnswer,
  encodeQuery,
} from '../../../src/discovery/packets.js';
import type { HostFacts } from '../../../src/discovery/packets.js';
import type { PeerId } from '../../../src/trust/fingerprint.js';
import { anyText } from '../../support/any-text.js';

const word = (maxLength: number) =>
  fc.stringMatching(new RegExp(`^[a-z0-9-]{1,${maxLength}}$`)).filter((text) => text.length > 0);
const u16 = fc.integer({ min: 0, max: 0xffff });
const nonces = fc.uint8Array({ minLength: NONCE_BYTES, maxLength: NONCE_BYTES });

const facts: fc.Arbitrary<HostFacts> = fc.record({
  service: word(63),
  name: anyText(300),
  port: fc.integer({ min: 1, max: 0xffff }),
  identityPrefix: fc.stringMatching(/^[0-9a-f]{16}$/) as fc.Arbitrary<PeerId>,
  isPairingOpen: fc.boolean(),
  os: fc.option(word(16), { nil: undefined }),
  arch: fc.option(word(16), { nil: undefined }),
  cores: fc.option(u16, { nil: undefined }),
  loadPercent: fc.option(u16, { nil: undefined }),
});

describe('packets', () => {
  test('arrive as they were sent, the name safe to print', () => {
    fc.assert(
      fc.property(facts, nonces, (host, nonce) => {
        const expected = { ...host, name: announcedName(host.name) };
        const answer = decodePacket(encodeAnswer(host, nonce));
        assert.deepEqual(answer, { kind: 'answer', nonce: Buffer.from(nonce), host: expected });
        const announcement = decodePacket(encodeAnnouncement(host));
        assert.deepEqual(announcement, { kind: 'announcement', host: expected });
        assert.ok(Buffer.byteLength(expected.name) <= 64);
        assert.doesNotMatch(expected.name, /[\p{Cc}\u200e\u200f\u202a-\u202e]/u);
      }),
    );
    fc.assert(
      fc.property(word(63), nonces, (service, nonce) => {
        const query = decodePacket(encodeQuery(service, nonce));
        assert.deepEqual(query, { kind: 'query', nonce: Buffer.from(nonce), service });
      }),
    );
  });

  test('no answer is larger than a question', () => {
    fc.assert(
      fc.property(facts, nonces, (host, nonce) => {
        assert.equal(encodeQuery(host.service, nonce).length, QUERY_BYTES);
        assert.ok(encodeAnswer(host, nonce).length <= QUERY_BYTES);
      }),
    );
    const largest = encodeAnswer(
      {
        service: 's'.repeat(63),
        name: 'n'.repeat(64),
        port: 1,
        identityPrefix: '0'.repeat(16) as PeerId,
        isPairingOpen: true,
        os: 'o'.repeat(16),
        arch: 'a'.repeat(16),
        cores: 1,
        loadPercent: 1,
      },
      Buffer.alloc(NONCE_BYTES),
    );
    assert.ok(largest.length <= QUERY_BYTES, `${largest.length}`);
  });

  test('random bytes, and packets with bytes changed, cut or added, are refused or read, never worse', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        assert.equal(decodePacket(Buffer.from(bytes)), undefined);
      }),
    );
    fc.assert(
      fc.property(
        facts,
        fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 6 }),
        fc.nat(300),
        (host, changes, length) => {
          const bytes = encodeAnswer(host, Buffer.alloc(NONCE_BYTES));
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
          const cut = decodePacket(bytes.subarray(0, length));
          const read = decodePacket(Buffer.concat([bytes, Buffer.alloc(length, 0xff)]));
          for (const packet of [cut, read]) {
            if (packet === undefined || packet.kind === 'query') continue;
            assert.equal(packet.host.name, announcedName(packet.host.name));
            assert.match(packet.host.identityPrefix, /^[0-9a-f]{16}$/);
            assert.ok(packet.host.port > 0);
          }
        },
      ),
    );
  });

  test('what no receiver should take is refused', () => {
    const host: HostFacts = {
      service: 'rmtx',
      name: 'box',
      port: 33_221,
      identityPrefix: '0123456789abcdef' as PeerId,
      isPairingOpen: false,
    };
    const nonce = Buffer.alloc(NONCE_BYTES, 7);
    const good = encodeAnswer(host, nonce);
    const name = good.indexOf('box');
    const changed = (at: number, ...values: number[]): Buffer => {
      const bytes = Buffer.from(good);
      bytes.set(values, at);
      return bytes;
    };
    const refused: Record<string, Buffer> = {
      nothing: Buffer.alloc(0),
      'another protocol': changed(0, 0x72),
      'a later version': changed(4, 2),
      'an unknown kind': changed(5, 9),
      'a name that is not UTF-8': changed(name, 0xff),
      'a length beyond the end': changed(name - 1, 0xff),
      '64 KiB': Buffer.concat([good, Buffer.alloc(65_000)]),
      'no room to add': Buffer.concat([good, Buffer.alloc(MAX_PACKET_BYTES)]),
      'port 0': encodeAnswer({ ...host, port: 0 }, nonce),
      'no service': encodeAnswer({ ...host, service: '' }, nonce),
      'a service with a slash': encodeAnswer({ ...host, service: 'a/b' }, nonce),
      'a short identity': encodeAnswer({ ...host, identityPrefix: '0123' as PeerId }, nonce),
    };
    assert.notEqual(decodePacket(good), undefined);
    for (const [what, bytes] of Object.entries(refused))
      assert.equal(decodePacket(bytes), undefined, what);
    // A byte order mark, escape sequences and direction marks are names, too; shown they are harmless.
    const odd = decodePacket(encodeAnnouncement({ ...host, name: '\u001b]52;x\u0007\u202eb\nox' }));
    assert.equal(odd?.kind === 'announcement' && odd.host.name, '\\x1b]52;x\\x07\\u{202e}b\\x0aox');
  });

  test('unknown fields are skipped, and the kind is known without decoding', () => {
    const query = encodeQuery('rmtx', Buffer.alloc(NONCE_BYTES));
    const end = query.indexOf('rmtx') + 4;
    query.set([200, 2, 1, 1], end);
    assert.equal(decodePacket(query)?.kind, 'query');
    assert.equal(looksLike('query', query), true);
    assert.equal(looksLike('answer', query), false);
    assert.equal(looksLike('query', query.subarray(0, 10)), false);
  });
});
