import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { isRmtxError } from '../../../src/errors.js';
import {
  parseClientConfirm,
  parseClientOpening,
  parseHostReply,
} from '../../../src/trust/pairing-messages.js';
import { MAX_MESSAGE_BYTES, PairingWire, encodeFrame } from '../../../src/trust/pairing-wire.js';
import { duplexPair } from './pairing-rig.js';

const versions = { min: 1, max: 1 };
const start = { type: 'start', versions, role: 'exec', label: 'laptop', share: '04ab' };

const parsers: [string, (message: unknown) => unknown][] = [
  ['opening', parseClientOpening],
  ['confirm', parseClientConfirm],
  ['answer', (message) => parseHostReply(message, 'answer')],
  ['share', (message) => parseHostReply(message, 'share')],
  ['host confirm', (message) => parseHostReply(message, 'confirm')],
];

/** JSON that is near enough to a message to get past the first checks. */
const nearlyMessage = fc.record(
  {
    type: fc.oneof(
      fc.constantFrom('ask', 'start', 'confirm', 'share', 'answer', 'refused'),
      fc.jsonValue(),
    ),
    versions: fc.oneof(fc.constant(versions), fc.jsonValue()),
    role: fc.oneof(fc.constant('exec'), fc.jsonValue()),
    label: fc.jsonValue(),
    share: fc.oneof(fc.constant('04ab'), fc.jsonValue()),
    mac: fc.oneof(fc.constant('ab'.repeat(32)), fc.jsonValue()),
    reason: fc.jsonValue(),
    state: fc.jsonValue(),
    version: fc.jsonValue(),
    host_name: fc.jsonValue(),
    tries_left: fc.jsonValue(),
  },
  { requiredKeys: [] },
);

describe('any JSON value is understood or refused by an RmtxError', () => {
  for (const [name, parse] of parsers)
    test(name, () => {
      fc.assert(
        fc.property(fc.oneof(fc.jsonValue(), nearlyMessage), (message) => {
          try {
            parse(message);
          } catch (error) {
            assert.ok(isRmtxError(error), String(error));
          }
        }),
        { numRuns: 300 },
      );
    });
});

test('fields that nobody knows are ignored', () => {
  const parsed = parseClientOpening({ ...start, next: { year: true } });
  assert.deepEqual(parsed, { ...start, share: Buffer.from('04ab', 'hex') });
});

test('what is wrong with an opening', () => {
  const wrong: [string, object, string][] = [
    ['no type', { ...start, type: undefined }, 'BAD_MESSAGE'],
    ['a type of another message', { ...start, type: 'confirm' }, 'BAD_MESSAGE'],
    ['another role', { ...start, role: 'root' }, 'BAD_MESSAGE'],
    ['upper-case hex', { ...start, share: '04AB' }, 'BAD_MESSAGE'],
    ['half a byte', { ...start, share: '04a' }, 'BAD_MESSAGE'],
    ['versions upside down', { ...start, versions: { min: 2, max: 1 } }, 'BAD_MESSAGE'],
    ['versions of the future', { ...start, versions: { min: 2, max: 9 } }, 'VERSION_MISMATCH'],
    ['a label that is no text', { ...start, label: ['x'] }, 'BAD_MESSAGE'],
    ['an inherited property for a field', { ...start, type: '__proto__' }, 'BAD_MESSAGE'],
  ];
  for (const [what, message, code] of wrong)
    assert.throws(() => parseClientOpening(message), { code: `ERR_RMTX_${code}` }, what);
  const polluted: unknown = JSON.parse('{"__proto__": {"type": "ask"}}');
  assert.throws(() => parseClientOpening(polluted), { code: 'ERR_RMTX_BAD_MESSAGE' });
});

test('a version of the future is told from rubbish before the rest is read', () => {
  assert.throws(() => parseClientOpening({ type: 'start', versions: { min: 2, max: 3 } }), {
    code: 'ERR_RMTX_VERSION_MISMATCH',
  });
});

describe('the wire', () => {
  test('messages survive any split of the bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(), { maxLength: 8 }), async (cuts) => {
        const messages = [{ a: 1 }, { text: 'ü'.repeat(100) }, { last: true }];
        const bytes = Buffer.concat(messages.map(encodeFrame));
        const [near, far] = duplexPair();
        const wire = new PairingWire(near, 5000);
        const edges = cuts.map((cut) => cut % bytes.length).sort((a, b) => a - b);
        let from = 0;
        for (const edge of [...edges, bytes.length]) {
          far.write(bytes.subarray(from, edge));
          from = edge;
        }
        for (const message of messages) assert.deepEqual(await wire.receive(), message);
        wire.destroy();
      }),
      { numRuns: 50 },
    );
  });

  test('any bytes end in a message or an RmtxError', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        const [near, far] = duplexPair();
        const wire = new PairingWire(near, 5000);
        far.end(bytes);
        try {
          for (;;) await wire.receive();
        } catch (error) {
          assert.ok(isRmtxError(error), String(error));
        } finally {
          wire.destroy();
        }
      }),
    );
  });

  test('a message over the limit is refused by its length alone', async () => {
    const [near, far] = duplexPair();
    const wire = new PairingWire(near, 5000);
    far.write(Buffer.of(0, 0, 0x10, 1));
    await assert.rejects(wire.receive(), { code: 'ERR_RMTX_FRAME_TOO_LARGE' });
    wire.destroy();
    assert.equal(MAX_MESSAGE_BYTES, 0x1000);
  });

  test('an empty message, JSON that is none, and UTF-8 that is none are refused', async () => {
    for (const body of [Buffer.alloc(0), Buffer.from('{'), Buffer.from('"\xff"', 'latin1')]) {
      const [near, far] = duplexPair();
      const wire = new PairingWire(near, 5000);
      const header = Buffer.alloc(4);
      header.writeUInt32BE(body.length);
      far.write(Buffer.concat([header, body]));
      await assert.rejects(wire.receive(), { code: 'ERR_RMTX_BAD_MESSAGE' });
      wire.destroy();
    }
  });

  test('a stream that ends or breaks in the middle is a lost connection', async () => {
    for (const cut of ['end', 'destroy'] as const) {
      const [near, far] = duplexPair();
      const wire = new PairingWire(near, 5000);
      const received = wire.receive();
      far.write(Buffer.of(0, 0));
      far[cut]();
      await assert.rejects(received, { code: 'ERR_RMTX_CONNECTION_LOST' });
      wire.destroy();
    }
  });
});
