/**
 * The host's end of forwarded ports: for each connection that the client announces, one of its own to the
 * port on loopback. Nothing is opened that the client did not ask for, nothing outside of this machine, and
 * never more at a time than there are numbers for.
 */
import net from 'node:net';
import type { Socket } from 'node:net';
import { systemErrorCode } from '../errors.js';
import { Bridge } from '../protocol/bridge.js';
import type { PeerConnection } from '../protocol/connection.js';
import { badMessage } from '../protocol/bad-message.js';
import { forwardWindowBytes } from '../protocol/messages.js';
import type { ClientMessage, ForwardFailure, HostMessage } from '../protocol/messages.js';

type Open = Extract<ClientMessage, { type: 'forward_open' }>;

export interface ForwardsOptions {
  readonly connection: PeerConnection;
  readonly send: (message: HostMessage) => void;
  /** False once the command has ended: what listens there then is none of the run's. */
  readonly hasPorts: () => boolean;
}

interface Forwarded {
  readonly bridge: Bridge;
  /** Ends the dialling. */
  readonly given: AbortController;
  failure: ForwardFailure;
}

/** A server may listen on either of them alone. */
const LOOPBACK = ['127.0.0.1', '::1'] as const;

/** How long a server may take to read the last of what came on a connection that is gone. */
const LAST_BYTES_MS = 10_000;

/** Of one visit: they end with its connection. */
export class HostForwards {
  readonly #options: ForwardsOptions;
  readonly #open = new Map<number, Forwarded>();

  constructor(options: ForwardsOptions) {
    this.#options = options;
    void options.connection.closed.then(() => this.#close());
  }

  /** Throws BAD_MESSAGE for a number that is in use: the client has all 256 of them then, or lies. */
  open({ channel, port }: Open): void {
    const { connection, send, hasPorts } = this.#options;
    if (this.#open.has(channel)) throw badMessage(`channel ${channel} for a second connection`);
    const windowBytes = forwardWindowBytes(this.#open.size);
    const forwarded: Forwarded = {
      failure: 'broken',
      given: new AbortController(),
      bridge: new Bridge({
        pair: connection.openPair(channel, { windowBytes }),
        onBroken: () => send({ type: 'forward_broken', channel, failure: forwarded.failure }),
      }),
    };
    this.#open.set(channel, forwarded);
    void forwarded.bridge.over.then(() => {
      connection.release(channel);
      this.#open.delete(channel);
      send({ type: 'forward_over', channel });
    });
    if (hasPorts()) void dialInto(forwarded, port);
    else giveUp(forwarded, 'run-over');
  }

  /** One that is over here already has crossed with our word of that. */
  brokeThere(channel: number): void {
    const forwarded = this.#open.get(channel);
    forwarded?.given.abort();
    forwarded?.bridge.brokeThere();
  }

  #close(): void {
    for (const { bridge, given } of this.#open.values()) {
      given.abort();
      bridge.brokeThere();
      setTimeout(() => bridge.destroy(), LAST_BYTES_MS).unref();
    }
    this.#open.clear();
  }
}

async function dialInto(forwarded: Forwarded, port: number): Promise<void> {
  let failure: ForwardFailure = 'refused';
  for (const host of LOOPBACK) {
    try {
      forwarded.bridge.join(await dial({ host, port }, forwarded.given.signal));
      return;
    } catch (error) {
      // A machine without IPv6 says so of ::1, whatever became of 127.0.0.1.
      const code = systemErrorCode(error) ?? '';
      if (!['ECONNREFUSED', 'EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes(code)) failure = 'failed';
    }
  }
  giveUp(forwarded, failure);
}

function giveUp(forwarded: Forwarded, failure: ForwardFailure): void {
  forwarded.failure = failure;
  forwarded.bridge.break();
}

/** Not for longer than the client wants it; the system's own limit is two minutes. */
function dial(to: { host: string; port: number }, given: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    given.throwIfAborted();
    const socket = net.connect({ ...to, allowHalfOpen: true, noDelay: true });
    const fail = (error: unknown): void => {
      given.removeEventListener('abort', fail);
      socket.destroy();
      reject(error instanceof Error ? error : new Error('given up'));
    };
    given.addEventListener('abort', fail);
    socket.once('error', fail);
    socket.once('connect', () => {
      given.removeEventListener('abort', fail);
      socket.off('error', fail);
      resolve(socket);
    });
  });
}
