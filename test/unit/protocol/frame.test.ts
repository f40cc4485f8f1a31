import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRmtxError } from '../../../src/errors.js';
import {
  FrameDecoder,
  MAX_DATA_BYTES,
  MAX_MESSAGE_BYTES,
  encodeCancel,
  encodeCredit,
  encodeDataHead,
  encodeEnd,
  encodeHeartbeat,
  encodeMessage,
} from '../../../src/protocol/frame.js';
import type { FrameHandler } from '../../../src/protocol/frame.js';

const refusing: FrameHandler = {
  message: () => assert.fail('message'),
  data: () => assert.fail('data'),
  credit: () => assert.fail('credit'),
  end: () => assert.fail('end'),
  cancel: () => assert.fail('cancel'),
};

function decode(bytes: Buffer, handler: Partial<FrameHandler> = {}): FrameDecoder {
  const decoder = new FrameDecoder({ ...refusing, ...handler });
  decoder.push(bytes);
  return decoder;
}

function frame(type: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(payload.length + 1, 0);
  head[4] = type;
  return Buffer.concat([head, payload]);
}

test('hands on each kind of frame in order', () => {
  const seen: string[] = [];
  const decoder = decode(
    Buffer.concat([
      encodeMessage({ a: 'ä' }, MAX_MESSAGE_BYTES),
      encodeHeartbeat(),
      encodeDataHead(7, 3),
      Buffer.from('abc'),
      encodeCredit(65_535, 0xffff_ffff),
      encodeEnd(0),
      encodeCancel(1),
    ]),
    {
      message: (payload) => seen.push(payload.toString('utf8')),
      data: (channel, bytes) => seen.push(`data ${channel} ${bytes.toString('utf8')}`),
      credit: (channel, byteCount) => seen.push(`credit ${channel} ${byteCount}`),
      end: (channel) => seen.push(`end ${channel}`),
      cancel: (channel) => seen.push(`cancel ${channel}`),
    },
  );
  assert.deepEqual(seen, [
    '{"a":"ä"}',
    'data 7 abc',
    'credit 65535 4294967295',
    'end 0',
    'cancel 1',
  ]);
  assert.equal(decoder.isMidFrame, false);
});

test('hands the bytes of a data frame on before the frame is complete', () => {
  const pieces: string[] = [];
  const decoder = decode(Buffer.concat([encodeDataHead(3, 6), Buffer.from('abc')]), {
    data: (_channel, bytes) => pieces.push(bytes.toString('utf8')),
  });
  assert.deepEqual(pieces, ['abc']);
  assert.equal(decoder.isMidFrame, true);
});

test('takes a message and a data frame of the largest size', () => {
  const text = Buffer.from(`{"a":"${'x'.repeat(MAX_MESSAGE_BYTES - 8)}"}`);
  let received = 0;
  decode(Buffer.concat([frame(1, text), encodeDataHead(1, MAX_DATA_BYTES), Buffer.alloc(10)]), {
    message: (payload) => (received = payload.length),
    data: (_channel, bytes) => assert.equal(bytes.length, 10),
  });
  assert.equal(received, MAX_MESSAGE_BYTES);
});

const refused: [title: string, bytes: Buffer, code: string][] = [
  ['a length of 0', Buffer.from([0, 0, 0, 0, 6]), 'BAD_MESSAGE'],
  ['a message one byte too large', headOf(1, MAX_MESSAGE_BYTES + 1), 'FRAME_TOO_LARGE'],
  ['a data frame one byte too large', headOf(2, MAX_DATA_BYTES + 3), 'FRAME_TOO_LARGE'],
  ['a message of 4 GiB', headOf(1, 0xffff_fffe), 'FRAME_TOO_LARGE'],
  ['type 0', headOf(0, 4), 'BAD_MESSAGE'],
  ['type 7', headOf(7, 4), 'BAD_MESSAGE'],
  ['type 255', headOf(255, 4), 'BAD_MESSAGE'],
  ['a data frame without bytes', frame(2, Buffer.from([0, 1])), 'BAD_MESSAGE'],
  ['a data frame without a channel', frame(2, Buffer.from([0])), 'BAD_MESSAGE'],
  ['a short credit', frame(3, Buffer.alloc(5)), 'BAD_MESSAGE'],
  ['a long credit', frame(3, Buffer.alloc(7)), 'BAD_MESSAGE'],
  ['an end with a payload', frame(4, Buffer.alloc(3)), 'BAD_MESSAGE'],
  ['a cancel without a channel', frame(5, Buffer.alloc(0)), 'BAD_MESSAGE'],
  ['a heartbeat with a payload', frame(6, Buffer.alloc(1)), 'BAD_MESSAGE'],
  ['an empty message', frame(1, Buffer.alloc(0)), 'BAD_MESSAGE'],
];

for (const [title, bytes, code] of refused) {
  test(`refuses ${title}`, () => {
    assert.throws(
      () => decode(bytes),
      (error) => isRmtxError(error) && error.code === `ERR_RMTX_${code}`,
    );
  });
}

test('hands nothing on after it was stopped, not even from the same bytes', () => {
  const ends: number[] = [];
  const decoder: FrameDecoder = new FrameDecoder({
    ...refusing,
    end: (channel) => {
      ends.push(channel);
      decoder.stop();
    },
  });
  decoder.push(Buffer.concat([encodeEnd(1), encodeEnd(2)]));
  decoder.push(encodeEnd(3));
  assert.deepEqual(ends, [1]);
});

test('does not encode a message beyond the limit', () => {
  assert.throws(
    () => encodeMessage({ text: 'ä'.repeat(10) }, 30),
    (error) => isRmtxError(error) && error.code === 'ERR_RMTX_FRAME_TOO_LARGE',
  );
  assert.equal(encodeMessage({ text: 'ä'.repeat(10) }, 31).length, 5 + 31);
});

function headOf(type: number, payloadBytes: number): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(payloadBytes + 1, 0);
  head[4] = type;
  return head;
}
