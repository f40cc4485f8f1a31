/**
 * One connection between two rmtx processes, over any duplex byte stream: JSON messages, and numbered
 * byte channels with credit in both directions.
 *
 * Promises: messages and the bytes of one channel arrive in order and whole or not at all; a channel
 * that is not read holds back its own sender and nobody else; whatever the peer sends, the connection
 * ends with a reason and throws at nobody. Authentication and the meaning of messages are elsewhere.
 */
import { isUtf8 } from 'node:buffer';
import { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { Duplex } from 'node:stream';
import { RmtxError, isRmtxError, systemErrorCode } from '../errors.js';
import { createDeferred } from '../util/deferred.js';
import type { Deferred } from '../util/deferred.js';
import {
  FIRST_REUSED_CHANNEL,
  FrameDecoder,
  MAX_CHANNEL,
  MAX_MESSAGE_BYTES,
  encodeCancel,
  encodeCredit,
  encodeHeartbeat,
  encodeMessage,
} from './frame.js';
import { FrameWriter } from './frame-writer.js';
import { Liveness } from './liveness.js';
import { ReceiveChannel } from './receive-channel.js';
import type { ReceiveChannelOptions } from './receive-channel.js';
import { SendChannel } from './send-channel.js';

export type { ReceiveChannel, ReceiveChannelOptions } from './receive-channel.js';
export type { SendChannel } from './send-channel.js';

/** Both directions of one number. */
export interface ChannelPair {
  readonly sender: SendChannel;
  readonly receiver: ReceiveChannel;
}

export interface PeerConnectionOptions {
  readonly heartbeatIntervalMs?: number;
  /** Nothing received for this long: the peer is dead. */
  readonly deadPeerMs?: number;
  readonly maxMessageBytes?: number;
}

/**
 * Why a connection is over. `ended`: the peer closed it, between two frames. `lost`: it broke or the
 * peer fell silent. `protocol-error`: the peer sent what it must not, or a message handler refused a
 * message by throwing an RmtxError. `closed-here`: this side closed it.
 */
export interface ConnectionEnd {
  readonly reason: 'ended' | 'lost' | 'protocol-error' | 'closed-here';
  /** An RmtxError, or the bug that a message handler threw. */
  readonly error?: Error;
}

const HEARTBEAT_INTERVAL_MS = 5000;
const DEAD_PEER_MS = 20_000;
/** How long `close` waits for the peer to take the rest and to close its side. */
const CLOSE_LIMIT_MS = 5000;
/** Messages and credits that a peer leaves unread; a peer that reads never comes near. */
const MAX_BACKLOG_BYTES = 16 * 1024 * 1024;
/** Messages that may come before anyone asked for them. */
const MAX_EARLY_MESSAGES = 64;

export class PeerConnection {
  readonly #stream: Duplex;
  readonly #writer: FrameWriter;
  readonly #decoder: FrameDecoder;
  readonly #liveness: Liveness;
  readonly #maxMessageBytes: number;
  readonly #closed: Deferred<ConnectionEnd> = createDeferred();
  readonly #senders = new Map<number, SendChannel>();
  readonly #receivers = new Map<number, ReceiveChannel>();
  /** What came for channels that this side has not opened yet; at most one item a channel number. */
  readonly #earlyCredit = new Map<number, number>();
  readonly #earlyCancels = new Set<number>();
  readonly #earlyEnds = new Set<number>();
  readonly #earlyMessages: unknown[] = [];
  #handler: ((message: unknown) => void) | undefined;
  #end: ConnectionEnd | undefined;
  #isClosing = false;
  #bytesReceived = 0;

  /**
   * Takes the stream over: nothing else may read or write it from here on. The numbers in `options`
   * are for tests and slow transports.
   */
  constructor(stream: Duplex, options: PeerConnectionOptions = {}) {
    this.#stream = stream;
    this.#maxMessageBytes = options.maxMessageBytes ?? MAX_MESSAGE_BYTES;
    this.#writer = new FrameWriter(stream);
    this.#decoder = new FrameDecoder(
      {
        message: (payload) => this.#onMessage(payload),
        data: (channel, bytes) => this.#receiver(channel).deliver(bytes),
        credit: (channel, byteCount) => this.#onCredit(channel, byteCount),
        end: (channel) => this.#onEnd(channel),
        cancel: (channel) => this.#onCancel(channel),
      },
      this.#maxMessageBytes,
    );
    this.#liveness = new Liveness({
      heartbeatIntervalMs: options.heartbeatIntervalMs ?? HEARTBEAT_INTERVAL_MS,
      deadPeerMs: options.deadPeerMs ?? DEAD_PEER_MS,
      now: () => performance.now(),
      sendHeartbeat: () => this.#sendHeartbeat(),
      onDead: (silentMs) =>
        this.#finish('lost', lost(`nothing came for ${Math.round(silentMs / 1000)} s`)),
    });
    this.#listen();
  }

  /** Never rejects. */
  get closed(): Promise<ConnectionEnd> {
    return this.#closed.promise;
  }

  get bytesSent(): number {
    return this.#writer.bytesSent;
  }

  get bytesReceived(): number {
    return this.#bytesReceived;
  }

  /** When a byte came last, as `performance.now()` counts. */
  get lastReceivedMs(): number {
    return this.#liveness.lastReceivedMs;
  }

  /**
   * Sends a message, dropped in silence once the connection is over. Throws FRAME_TOO_LARGE where it
   * exceeds the limit.
   */
  send(message: object): void {
    if (this.#isOver()) return;
    this.#frame(encodeMessage(message, this.#maxMessageBytes));
  }

  /**
   * Hands messages, in order, to `handler`, also those that came before this call. They are objects and
   * nothing else is known of them. A handler may refuse one by throwing. A later call replaces the handler.
   */
  receiveMessages(handler: (message: unknown) => void): void {
    this.#handler = handler;
    try {
      while (this.#earlyMessages.length > 0 && !this.#isOver())
        handler(this.#earlyMessages.shift());
    } catch (error) {
      this.#refuse(error);
    }
  }

  /** Opens this side's sending end. Each number may be opened once for each direction, until {@link release}. */
  openSend(channel: number): SendChannel {
    this.#checkNumber(channel, this.#senders);
    const sender = new SendChannel(channel, this.#writer);
    this.#senders.set(channel, sender);
    if (this.#earlyCancels.delete(channel)) sender.acceptCancel();
    else sender.addCredit(this.#earlyCredit.get(channel) ?? 0);
    this.#earlyCredit.delete(channel);
    if (this.#isOver()) sender.fail(this.#failure());
    return sender;
  }

  /** Opens this side's receiving end and grants the sender the first window. */
  openReceive(channel: number, options: ReceiveChannelOptions = {}): ReceiveChannel {
    this.#checkNumber(channel, this.#receivers);
    const hooks = {
      grant: (byteCount: number) => this.#frame(encodeCredit(channel, byteCount)),
      cancel: () => this.#frame(encodeCancel(channel)),
    };
    const receiver = new ReceiveChannel(channel, hooks, options);
    this.#receivers.set(channel, receiver);
    if (this.#earlyEnds.delete(channel)) receiver.finish();
    if (this.#isOver()) receiver.fail(this.#failure());
    return receiver;
  }

  /** Opens both directions; nothing of the peer's may have come for the number before. */
  openPair(channel: number, options: ReceiveChannelOptions = {}): ChannelPair {
    return { sender: this.openSend(channel), receiver: this.openReceive(channel, options) };
  }

  /**
   * Lets a number go that has ended in both directions, so that it can be opened again: not before the peer
   * has let it go, too, which the owners of the channels have to tell each other.
   */
  release(channel: number): void {
    const hasEnded =
      this.#senders.get(channel)?.hasEnded === true &&
      this.#receivers.get(channel)?.hasEnded === true;
    if (!hasEnded || channel < FIRST_REUSED_CHANNEL)
      throw new Error(`Internal error: channel ${channel} cannot be released`);
    this.#senders.delete(channel);
    this.#receivers.delete(channel);
  }

  /**
   * Sends what was written, then closes; resolves when the peer has closed as well, after 5 s at most.
   * Nothing is received from here on, and writes that still wait for credit are rejected.
   */
  async close(): Promise<void> {
    if (!this.#isOver()) {
      this.#isClosing = true;
      this.#liveness.stop();
      this.#failChannels();
      this.#stream.end();
      // What still comes is thrown away but read: closing a socket with unread bytes in it resets the
      // connection, and the peer would lose what was sent to it last.
      this.#stream.resume();
      const limit = setTimeout(() => this.#finish('closed-here'), CLOSE_LIMIT_MS);
      limit.unref();
      void this.closed.then(() => clearTimeout(limit));
    }
    await this.closed;
  }

  /** Ends at once; what has not left yet is lost. */
  destroy(error?: Error): void {
    this.#finish('closed-here', error);
  }

  #listen(): void {
    // Header and payload may leave in two writes, and a reply must not wait for an acknowledgement.
    if (this.#stream instanceof Socket) this.#stream.setNoDelay(true);
    this.#stream.on('data', (chunk: Buffer) => this.#onBytes(chunk));
    this.#stream.on('end', () => this.#onStreamEnd());
    this.#stream.on('error', (error: Error) => this.#onStreamError(error));
    this.#stream.on('close', () =>
      this.#finish(this.#isClosing ? 'closed-here' : 'lost', this.#isClosing ? undefined : lost()),
    );
    // Destroyed before it was handed over: no event would ever come.
    if (this.#stream.destroyed) this.#finish('lost', lost());
  }

  #onBytes(chunk: Buffer): void {
    this.#bytesReceived += chunk.length;
    this.#liveness.received();
    if (this.#isOver()) return;
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      this.#refuse(error);
    }
  }

  #onStreamEnd(): void {
    if (this.#isClosing) this.#finish('closed-here');
    else if (this.#decoder.isMidFrame) this.#finish('lost', lost('it ended within a frame'));
    else this.#finish('ended');
  }

  #onStreamError(cause: Error): void {
    if (this.#isClosing) this.#finish('closed-here');
    else if (isRmtxError(cause)) this.#finish('lost', cause);
    else this.#finish('lost', lost(systemErrorCode(cause) ?? cause.message, cause));
  }

  #onMessage(payload: Buffer): void {
    const message = parseMessage(payload);
    if (this.#handler !== undefined) {
      this.#handler(message);
      return;
    }
    this.#earlyMessages.push(message);
    if (this.#earlyMessages.length > MAX_EARLY_MESSAGES) throw badPeer('too many messages at once');
  }

  #receiver(channel: number): ReceiveChannel {
    const receiver = this.#receivers.get(channel);
    if (receiver === undefined) throw badPeer(`data on channel ${channel}, which is not open`);
    return receiver;
  }

  #onCredit(channel: number, byteCount: number): void {
    const sender = this.#senders.get(channel);
    if (sender !== undefined) sender.addCredit(byteCount);
    else if (!isReused(channel))
      this.#earlyCredit.set(channel, (this.#earlyCredit.get(channel) ?? 0) + byteCount);
  }

  #onEnd(channel: number): void {
    const receiver = this.#receivers.get(channel);
    if (receiver?.hasEnded === true || this.#earlyEnds.has(channel))
      throw badPeer(`channel ${channel} ended twice`);
    if (receiver !== undefined) receiver.finish();
    else if (isReused(channel)) throw badPeer(`the end of channel ${channel}, which is not open`);
    else this.#earlyEnds.add(channel);
  }

  #onCancel(channel: number): void {
    const sender = this.#senders.get(channel);
    if (sender !== undefined) sender.acceptCancel();
    else if (!isReused(channel)) this.#earlyCancels.add(channel);
  }

  #sendHeartbeat(): void {
    // Whatever waits in the stream is the better sign of life, once it gets through.
    if (this.#writer.backlogBytes === 0) this.#frame(encodeHeartbeat());
  }

  #frame(bytes: Buffer): void {
    if (this.#isOver()) return;
    this.#writer.frame(bytes);
    if (this.#writer.backlogBytes > MAX_BACKLOG_BYTES)
      this.#finish('lost', lost('the other side does not read what it is sent'));
  }

  /** Ends the connection because of what a handler threw. */
  #refuse(error: unknown): void {
    if (isRmtxError(error)) this.#finish('protocol-error', error);
    else this.#finish('closed-here', error instanceof Error ? error : new Error(String(error)));
  }

  /** The first reason counts. */
  #finish(reason: ConnectionEnd['reason'], error?: Error): void {
    if (this.#end !== undefined) return;
    this.#end = error === undefined ? { reason } : { reason, error };
    this.#liveness.stop();
    this.#failChannels();
    if (reason === 'ended') this.#endStream();
    else this.#stream.destroy();
    this.#closed.resolve(this.#end);
  }

  /** The answer to the peer's end: its `close` waits for it. */
  #endStream(): void {
    const limit = setTimeout(() => this.#stream.destroy(), CLOSE_LIMIT_MS);
    limit.unref();
    this.#stream.once('close', () => clearTimeout(limit));
    this.#stream.end(() => this.#stream.destroy());
  }

  #failChannels(): void {
    this.#decoder.stop();
    this.#writer.close();
    const failure = this.#failure();
    for (const sender of this.#senders.values()) sender.fail(failure);
    for (const receiver of this.#receivers.values()) receiver.fail(failure);
  }

  #failure(): Error {
    if (this.#end?.error !== undefined) return this.#end.error;
    return lost(
      this.#end?.reason === 'ended' ? 'the other side closed it' : 'it was closed on this side',
    );
  }

  #isOver(): boolean {
    return this.#isClosing || this.#end !== undefined;
  }

  #checkNumber(channel: number, open: ReadonlyMap<number, unknown>): void {
    if (!Number.isInteger(channel) || channel < 0 || channel > MAX_CHANNEL || open.has(channel))
      throw new Error(`Internal error: channel ${channel} cannot be opened`);
  }
}

/**
 * What a receiver says of such a channel that is not open is late, never early: its sender ended it before it
 * heard this, and whoever opens the channel again begins with a message.
 */
function isReused(channel: number): boolean {
  return channel >= FIRST_REUSED_CHANNEL;
}

function parseMessage(payload: Buffer): object {
  if (!isUtf8(payload)) throw badPeer('a message that is not UTF-8');
  let value: unknown;
  try {
    value = JSON.parse(payload.toString('utf8'));
  } catch (cause) {
    throw badPeer('a message that is not JSON', cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw badPeer('a message that is not an object');
  return value;
}

function badPeer(what: string, cause?: unknown): RmtxError {
  return new RmtxError('ERR_RMTX_BAD_MESSAGE', `the other side sent ${what}`, { cause });
}

function lost(why?: string, cause?: unknown): RmtxError {
  const detail = why === undefined ? '' : `: ${why}`;
  return new RmtxError('ERR_RMTX_CONNECTION_LOST', `the connection was lost${detail}`, { cause });
}
