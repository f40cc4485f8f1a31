/**
 * The unit on the wire: `u32 length of the rest | u8 type | payload`, numbers big-endian. This file
 * makes the bytes of a frame and takes a byte stream apart again; what frames mean is the
 * connection's business.
 *
 * The bytes of a DATA frame are handed on as they come in, as views into what the socket read: they
 * are never gathered here, so a frame's size costs no memory.
 */
import { RmtxError } from '../errors.js';

export const FRAME_MESSAGE = 1;
export const FRAME_DATA = 2;
export const FRAME_CREDIT = 3;
export const FRAME_END = 4;
export const FRAME_CANCEL = 5;
export const FRAME_HEARTBEAT = 6;

export const MAX_MESSAGE_BYTES = 256 * 1024;
export const MAX_DATA_BYTES = 1024 * 1024;
export const MAX_CHANNEL = 0xffff;
/** Numbers from here on are used again and again in one connection, those below once. */
export const FIRST_REUSED_CHANNEL = 1024;

const LENGTH_BYTES = 4;
const HEAD_BYTES = LENGTH_BYTES + 1;
const CHANNEL_BYTES = 2;
export const DATA_HEAD_BYTES = HEAD_BYTES + CHANNEL_BYTES;
const CREDIT_BYTES = CHANNEL_BYTES + 4;

/**
 * Bytes in one DATA frame of ours: large enough to be cheap, small enough that others get their turn.
 * With its head the frame fills TLS records of 16 KiB exactly: a record more of 7 bytes would cost the
 * reader as much as a full one.
 */
export const DATA_PIECE_BYTES = 64 * 1024 - DATA_HEAD_BYTES;

/**
 * Bytes in one DATA frame whose head is put into the memory before them: TLS copies what comes in more than
 * one piece, a third of a sender's work (measured). As much as may be on its way anyhow.
 */
export const WHOLE_DATA_BYTES = 256 * 1024 - DATA_HEAD_BYTES;

/** A whole MESSAGE frame. Throws FRAME_TOO_LARGE where the JSON exceeds `maxBytes`. */
export function encodeMessage(message: object, maxBytes: number): Buffer {
  const text = JSON.stringify(message);
  const length = Buffer.byteLength(text);
  if (length > maxBytes) throw tooLarge('message', length, maxBytes);
  const frame = startFrame(FRAME_MESSAGE, length);
  frame.write(text, HEAD_BYTES, 'utf8');
  return frame;
}

/** What goes before the bytes of a DATA frame; into `head` where one is given. */
export function encodeDataHead(
  channel: number,
  byteCount: number,
  head: Buffer = Buffer.allocUnsafe(DATA_HEAD_BYTES),
): Buffer {
  head.writeUInt32BE(1 + CHANNEL_BYTES + byteCount, 0);
  head[LENGTH_BYTES] = FRAME_DATA;
  head.writeUInt16BE(channel, HEAD_BYTES);
  return head;
}

export function encodeCredit(channel: number, byteCount: number): Buffer {
  const frame = startFrame(FRAME_CREDIT, CREDIT_BYTES);
  frame.writeUInt16BE(channel, HEAD_BYTES);
  frame.writeUInt32BE(byteCount, HEAD_BYTES + CHANNEL_BYTES);
  return frame;
}

export function encodeEnd(channel: number): Buffer {
  return encodeChannelFrame(FRAME_END, channel);
}

export function encodeCancel(channel: number): Buffer {
  return encodeChannelFrame(FRAME_CANCEL, channel);
}

export function encodeHeartbeat(): Buffer {
  return startFrame(FRAME_HEARTBEAT, 0);
}

function encodeChannelFrame(type: number, channel: number): Buffer {
  const frame = startFrame(type, CHANNEL_BYTES);
  frame.writeUInt16BE(channel, HEAD_BYTES);
  return frame;
}

function startFrame(type: number, payloadBytes: number): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + payloadBytes);
  frame.writeUInt32BE(1 + payloadBytes, 0);
  frame[LENGTH_BYTES] = type;
  return frame;
}

/** Called in the order of the frames. A throw ends the decoding and reaches the caller of `push`. */
export interface FrameHandler {
  /** The JSON text of a message, not yet parsed; a view. */
  message(payload: Buffer): void;
  /** Some bytes of a DATA frame, at least one; a view into what was pushed. */
  data(channel: number, bytes: Buffer): void;
  credit(channel: number, byteCount: number): void;
  end(channel: number): void;
  cancel(channel: number): void;
}

/**
 * Takes frames out of a byte stream cut anywhere. Holds one incomplete frame's head or message at
 * most. `push` throws BAD_MESSAGE or FRAME_TOO_LARGE on bytes that are no frame; nothing may be
 * pushed after that.
 */
export class FrameDecoder {
  readonly #handler: FrameHandler;
  readonly #maxMessageBytes: number;
  /** The frame being read; 0 while its head is incomplete. */
  #type = 0;
  readonly #head = Buffer.alloc(HEAD_BYTES);
  readonly #dataChannel = Buffer.alloc(CHANNEL_BYTES);
  /** What is being gathered (a head, fixed fields or a message) and how far it is. */
  #gathered = this.#head;
  #gatheredBytes = 0;
  #channel = 0;
  /** Bytes of a DATA frame that are still to come after its channel. */
  #dataBytesLeft = 0;
  #isStopped = false;

  constructor(handler: FrameHandler, maxMessageBytes = MAX_MESSAGE_BYTES) {
    this.#handler = handler;
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** True when the stream must not end here. */
  get isMidFrame(): boolean {
    return this.#type !== 0 || this.#gatheredBytes > 0;
  }

  /** Nothing more is handed to the handler, not even what was pushed already. */
  stop(): void {
    this.#isStopped = true;
  }

  push(chunk: Buffer): void {
    let position = 0;
    while (position < chunk.length && !this.#isStopped) {
      if (this.#isInsideData()) {
        const end = Math.min(chunk.length, position + this.#dataBytesLeft);
        this.#dataBytesLeft -= end - position;
        if (this.#dataBytesLeft === 0) this.#startHead();
        this.#handler.data(this.#channel, chunk.subarray(position, end));
        position = end;
      } else {
        position = this.#gather(chunk, position);
      }
    }
  }

  #isInsideData(): boolean {
    return this.#type === FRAME_DATA && this.#gatheredBytes === CHANNEL_BYTES;
  }

  /** Moves on towards the end of the field being gathered; returns the new position in the chunk. */
  #gather(chunk: Buffer, position: number): number {
    const wanted = this.#gathered.length - this.#gatheredBytes;
    const end = Math.min(chunk.length, position + wanted);
    if (end - position === this.#gathered.length) {
      this.#gatheredBytes = this.#gathered.length;
      this.#finishField(chunk.subarray(position, end));
      return end;
    }
    chunk.copy(this.#gathered, this.#gatheredBytes, position, end);
    this.#gatheredBytes += end - position;
    if (this.#gatheredBytes === this.#gathered.length) this.#finishField(this.#gathered);
    return end;
  }

  #finishField(field: Buffer): void {
    if (this.#type === 0) {
      this.#readHead(field);
    } else if (this.#type === FRAME_DATA) {
      this.#channel = field.readUInt16BE(0);
    } else {
      const type = this.#type;
      this.#startHead();
      this.#dispatch(type, field);
    }
  }

  #readHead(head: Buffer): void {
    const type = head[LENGTH_BYTES] ?? 0;
    const payloadBytes = head.readUInt32BE(0) - 1;
    this.#refuseBadLength(type, payloadBytes);
    this.#type = type;
    this.#gatheredBytes = 0;
    if (type === FRAME_HEARTBEAT) {
      this.#startHead();
    } else if (type === FRAME_DATA) {
      this.#dataBytesLeft = payloadBytes - CHANNEL_BYTES;
      this.#gathered = this.#dataChannel;
    } else {
      this.#gathered = Buffer.allocUnsafe(payloadBytes);
    }
  }

  #refuseBadLength(type: number, payloadBytes: number): void {
    switch (type) {
      case FRAME_MESSAGE:
        if (payloadBytes > this.#maxMessageBytes)
          throw tooLarge('message', payloadBytes, this.#maxMessageBytes);
        if (payloadBytes < 2) throw badFrame('an empty message');
        return;
      case FRAME_DATA:
        if (payloadBytes > CHANNEL_BYTES + MAX_DATA_BYTES)
          throw tooLarge('data frame', payloadBytes - CHANNEL_BYTES, MAX_DATA_BYTES);
        if (payloadBytes <= CHANNEL_BYTES) throw badFrame('a data frame without bytes');
        return;
      case FRAME_CREDIT:
        if (payloadBytes !== CREDIT_BYTES) throw badFrame('a credit frame of the wrong length');
        return;
      case FRAME_END:
      case FRAME_CANCEL:
        if (payloadBytes !== CHANNEL_BYTES) throw badFrame('a channel frame of the wrong length');
        return;
      case FRAME_HEARTBEAT:
        if (payloadBytes !== 0) throw badFrame('a heartbeat with a payload');
        return;
      default:
        throw badFrame(`a frame of unknown type ${type}`);
    }
  }

  #startHead(): void {
    this.#type = 0;
    this.#gatheredBytes = 0;
    this.#gathered = this.#head;
  }

  #dispatch(type: number, payload: Buffer): void {
    if (type === FRAME_MESSAGE) {
      this.#handler.message(payload);
      return;
    }
    const channel = payload.readUInt16BE(0);
    if (type === FRAME_CREDIT) this.#handler.credit(channel, payload.readUInt32BE(CHANNEL_BYTES));
    else if (type === FRAME_END) this.#handler.end(channel);
    else this.#handler.cancel(channel);
  }
}

function tooLarge(what: string, byteCount: number, limit: number): RmtxError {
  return new RmtxError(
    'ERR_RMTX_FRAME_TOO_LARGE',
    `a ${what} of ${byteCount} bytes exceeds the limit of ${limit}`,
  );
}

function badFrame(what: string): RmtxError {
  return new RmtxError('ERR_RMTX_BAD_MESSAGE', `the other side sent ${what}`);
}
