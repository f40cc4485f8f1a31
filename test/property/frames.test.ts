import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isRmtxError } from '../../src/errors.js';
import {
  FrameDecoder,
  encodeCancel,
  encodeCredit,
  encodeDataHead,
  encodeEnd,
  encodeHeartbeat,
  encodeMessage,
} from '../../src/protocol/frame.js';

type Frame =
  | { kind: 'message'; message: object }
  | { kind: 'data'; channel: number; bytes: Buffer }
  | { kind: 'credit'; channel: number; byteCount: number }
  | { kind: 'end' | 'cancel'; channel: number }
  | { kind: 'heartbeat' };

const channel = fc.integer({ min: 0, max: 0xffff });
const frames: fc.Arbitrary<Frame[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('message' as const), message: fc.object() }),
    fc.record({
      kind: fc.constant('data' as const),
      channel,
      bytes: fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    }),
    fc.record({
      kind: fc.constant('credit' as const),
      channel,
      byteCount: fc.integer({ min: 0, max: 0xffff_ffff }),
    }),
    fc.record({ kind: fc.constantFrom('end' as const, 'cancel' as const), channel }),
    fc.record({ kind: fc.constant('heartbeat' as const) }),
  ),
  { maxLength: 12 },
);

function encode(frame: Frame): Buffer {
  switch (frame.kind) {
    case 'message':
      return encodeMessage(frame.message, 1 << 20);
    case 'data':
      return Buffer.concat([encodeDataHead(frame.channel, frame.bytes.length), frame.bytes]);
    case 'credit':
      return encodeCredit(frame.channel, frame.byteCount);
    case 'end':
      return encodeEnd(frame.channel);
    case 'cancel':
      return encodeCancel(frame.channel);
    case 'heartbeat':
      return encodeHeartbeat();
  }
}

/** What the handler saw; neighbouring bytes of one channel are joined, as cutting may part them. */
class Seen {
  readonly events: string[] = [];
  readonly handler = {
    message: (payload: Buffer): void => void this.events.push(`message ${payload.toString()}`),
    data: (number: number, bytes: Buffer): void => {
      const hex = bytes.toString('hex');
      const last = this.events.at(-1);
      if (last?.startsWith(`data ${number} `) === true) this.events.splice(-1, 1, `${last}${hex}`);
      else this.events.push(`data ${number} ${hex}`);
    },
    credit: (number: number, byteCount: number): void =>
      void this.events.push(`credit ${number} ${byteCount}`),
    end: (number: number): void => void this.events.push(`end ${number}`),
    cancel: (number: number): void => void this.events.push(`cancel ${number}`),
  };
}

function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b);
  return [0, ...places].map((start, n) => bytes.subarray(start, places[n] ?? bytes.length));
}

test('frames survive any split of the byte stream', () => {
  fc.assert(
    fc.property(frames, fc.array(fc.nat(), { maxLength: 30 }), (sent, cuts) => {
      const bytes = Buffer.concat(sent.map(encode));
      const whole = new Seen();
      new FrameDecoder(whole.handler).push(bytes);
      const cut = new Seen();
      const decoder = new FrameDecoder(cut.handler);
      for (const part of cutAt(bytes, cuts)) decoder.push(part);
      assert.deepEqual(cut.events, whole.events);
      assert.equal(decoder.isMidFrame, false);
      const kinds = sent.filter(({ kind }) => kind !== 'heartbeat' && kind !== 'data');
      assert.deepEqual(
        whole.events.filter((event) => !event.startsWith('data')).map((e) => e.split(' ')[0]),
        kinds.map(({ kind }) => kind),
      );
      const payload = sent.flatMap((frame) => (frame.kind === 'data' ? [frame.bytes] : []));
      const received = whole.events.filter((event) => event.startsWith('data'));
      assert.equal(
        received.map((event) => event.split(' ')[2]).join(''),
        Buffer.concat(payload).toString('hex'),
      );
    }),
    { numRuns: 500 },
  );
});

test('single bytes make the same frames', () => {
  fc.assert(
    fc.property(frames, (sent) => {
      const bytes = Buffer.concat(sent.map(encode));
      const whole = new Seen();
      new FrameDecoder(whole.handler).push(bytes);
      const single = new Seen();
      const decoder = new FrameDecoder(single.handler);
      for (const byte of bytes) decoder.push(Buffer.of(byte));
      assert.deepEqual(single.events, whole.events);
    }),
    { numRuns: 200 },
  );
});

test('arbitrary bytes are frames or a protocol error, never anything else', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }),
      frames,
      (chunks, before) => {
        const decoder = new FrameDecoder(new Seen().handler);
        try {
          for (const frame of before) decoder.push(encode(frame));
          for (const chunk of chunks) decoder.push(Buffer.from(chunk));
        } catch (error) {
          assert.ok(isRmtxError(error) && error.family === 'protocol', String(error));
        }
      },
    ),
    { numRuns: 500 },
  );
});
