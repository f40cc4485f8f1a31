/** The client's part of a call: one UDP socket to one host, for as long as the call lasts. */
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { decodeCallPacket, encodeCall, encodeCallBack } from './call-packets.js';
import type { CookieAnswer, WantedCallBack } from './call-packets.js';
import { NONCE_BYTES } from './packet-frame.js';
import { DISCOVERY_PORT } from './packets.js';

/** Any datagram may be lost. */
const TRIES = 3;
const BETWEEN_TRIES_MS = 100;

export class Caller implements Disposable {
  readonly nonce = randomBytes(NONCE_BYTES);
  readonly #socket: Socket;
  /** Aborted when it is certain that nobody hears us: the other machine, or the way to it, says so. */
  readonly #refused = new AbortController();

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', (error) => this.#refused.abort(error));
  }

  /** `host` is an IP literal, a link-local one with its zone. Rejects where no way leads there. */
  static async to(host: string, port = DISCOVERY_PORT): Promise<Caller> {
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
    try {
      // Connected: the system passes on only what comes from there, and tells when nobody is there.
      socket.connect(port, host);
      await once(socket, 'connect');
      return new Caller(socket);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** The address of this machine that leads there; a link-local one with its zone. */
  get localAddress(): string {
    return this.#socket.address().address;
  }

  /** Resolves with the answer. Rejects with what the system says of a host that is not there, or at the abort. */
  async ask(service: string, abortSignal: AbortSignal): Promise<CookieAnswer> {
    const over = AbortSignal.any([abortSignal, this.#refused.signal]);
    const done = new AbortController();
    void this.#sendSome(encodeCall(service, this.nonce), AbortSignal.any([over, done.signal]));
    try {
      return await new Promise((resolve, reject) => {
        over.addEventListener('abort', () => reject(over.reason as Error));
        if (over.aborted) reject(over.reason as Error);
        this.#socket.on('message', (bytes: Buffer) => {
          const packet = decodeCallPacket(bytes);
          if (packet?.kind === 'cookie' && packet.nonce.equals(this.nonce)) resolve(packet.answer);
        });
      });
    } finally {
      done.abort();
    }
  }

  /** Resolves when it has been said often enough, or at the abort. */
  callBack(wanted: WantedCallBack, abortSignal: AbortSignal): Promise<void> {
    return this.#sendSome(encodeCallBack(wanted, this.nonce), abortSignal);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  async #sendSome(bytes: Buffer, abortSignal: AbortSignal): Promise<void> {
    for (let sent = 0; sent < TRIES && !abortSignal.aborted; sent++) {
      // What the system says of it comes as an event of the socket, too; a send callback would hide that.
      this.#socket.send(bytes);
      await pause(BETWEEN_TRIES_MS, undefined, { signal: abortSignal }).catch(() => undefined);
    }
  }
}
