/**
 * Takes the calls of clients that cannot reach the host's TCP port. It keeps nothing of a call before the
 * client has shown that it really is at the address that it calls from: the cookie that it has to bring
 * back is made of that address, and of nothing that has to be remembered.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { RemoteInfo } from 'node:dgram';
import type { PeerId } from '../trust/fingerprint.js';
import { KeyedBuckets } from '../util/token-bucket.js';
import { CALL_BYTES, COOKIE_BYTES, decodeCallPacket, encodeCookie } from './call-packets.js';
import type { WantedCallBack } from './call-packets.js';
import { looksLike } from './packet-frame.js';

/** Somebody at `source` asked to be dialled there, and really is there. Who it is was not looked at. */
export interface CallBackRequest extends WantedCallBack {
  readonly nonce: Buffer;
  /** An IP literal; a link-local one with its zone. */
  readonly source: string;
}

export interface CallDeskOptions {
  readonly service: string;
  readonly identityPrefix: PeerId;
  /** Called for each request once, however often its packet comes. Must not throw. */
  readonly onCallBack: (request: CallBackRequest) => void;
  readonly reply: (bytes: Buffer, to: RemoteInfo) => void;
  /** Milliseconds that never go back; for tests. */
  readonly now?: () => number;
}

/** A cookie is good for one to two of these: longer than the way there and back, short for who copies it. */
const SLICE_MS = 10_000;
/** A client sends each packet up to three times. */
const CALLS = {
  all: { burst: 100, perSecond: 50 },
  each: { burst: 20, perSecond: 4 },
  maxKeys: 512,
};
/** More than the limits below let in while a cookie is good. */
const MAX_TAKEN = 2048;

export class CallDesk {
  readonly #options: CallDeskOptions;
  readonly #now: () => number;
  readonly #secret = randomBytes(32);
  readonly #calls: KeyedBuckets;
  readonly #callBacks: KeyedBuckets;
  /** The cookies that were brought back, the oldest first. */
  readonly #taken = new Set<string>();

  constructor(options: CallDeskOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    const limits = {
      all: { ...CALLS.all, now: this.#now },
      each: { ...CALLS.each, now: this.#now },
      maxKeys: CALLS.maxKeys,
    };
    this.#calls = new KeyedBuckets(limits);
    this.#callBacks = new KeyedBuckets(limits);
  }

  /** Answers a call, passes on a request, and ignores whatever else it is. */
  take(bytes: Buffer, from: RemoteInfo): void {
    if (looksLike('call', bytes) && this.#calls.hasToken) this.#giveCookie(bytes, from);
    else if (looksLike('call-back', bytes)) this.#takeBack(bytes, from);
  }

  #giveCookie(bytes: Buffer, from: RemoteInfo): void {
    // Else the answer could be the larger one, and a forged sender gain by it.
    if (bytes.length < CALL_BYTES) return;
    const packet = decodeCallPacket(bytes);
    const { service, identityPrefix, reply } = this.#options;
    if (packet?.kind !== 'call' || packet.service !== service) return;
    if (!this.#calls.take(from.address)) return;
    const cookie = this.#cookieFor(from, packet.nonce, this.#slice);
    reply(encodeCookie({ cookie, identityPrefix }, packet.nonce), from);
  }

  #takeBack(bytes: Buffer, from: RemoteInfo): void {
    const packet = decodeCallPacket(bytes);
    if (packet?.kind !== 'call-back') return;
    const { nonce, wanted } = packet;
    const slice = this.#slice;
    const isOurs = [slice, slice - 1].some((each) =>
      timingSafeEqual(this.#cookieFor(from, nonce, each), wanted.cookie),
    );
    if (!isOurs) return;
    // The proof is no part of it: who copies a packet and changes that gets no second look.
    const key = wanted.cookie.toString('hex');
    if (this.#taken.has(key) || !this.#callBacks.take(from.address)) return;
    const [oldest] = this.#taken;
    if (this.#taken.size >= MAX_TAKEN && oldest !== undefined) this.#taken.delete(oldest);
    this.#taken.add(key);
    this.#options.onCallBack({ ...wanted, nonce, source: from.address });
  }

  get #slice(): number {
    return Math.floor(this.#now() / SLICE_MS);
  }

  #cookieFor({ address, port }: RemoteInfo, nonce: Buffer, slice: number): Buffer {
    return createHmac('sha256', this.#secret)
      .update(`${slice} ${port} ${address} `)
      .update(nonce)
      .digest()
      .subarray(0, COOKIE_BYTES);
  }
}
