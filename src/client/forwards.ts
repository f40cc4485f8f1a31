/**
 * The client's end of forwarded ports: listens on loopback for as long as the run lasts and carries each
 * connection to the run's port on the host, over whatever connection there is. In an outage the listeners stay:
 * connections that were open are reset, because their bytes cannot be told apart any more, and new ones wait.
 */
import type { Socket } from 'node:net';
import { systemErrorCode } from '../errors.js';
import { Bridge } from '../protocol/bridge.js';
import type { ChannelPair } from '../protocol/connection.js';
import { badMessage } from '../protocol/bad-message.js';
import { CHANNEL, MAX_FORWARDED, forwardWindowBytes } from '../protocol/messages.js';
import type { ForwardFailure } from '../protocol/messages.js';
import { createDeferred } from '../util/deferred.js';
import { assertNever } from '../util/never.js';
import type { ForwardNews, HostConnection } from './connect.js';
import { listenOnLoopback } from './loopback-listener.js';
import type { LoopbackListener } from './loopback-listener.js';
import type { RunTeller } from './run-teller.js';

/** What `-L` asks for. */
export interface ForwardRequest {
  /** The run's port. */
  readonly port: number;
  /** The port here; 0: any that is free. */
  readonly localPort: number;
}

/** How long a connection is held that comes while there is none to the host. */
const WAIT_FOR_LINK_MS = 30_000;
/** After the command's end, how long nothing may move before what is still open is reset. */
const QUIET_MS = 250;
/** And how long it may move. */
const MAX_LAST_BYTES_MS = 5000;

interface Forward {
  readonly request: ForwardRequest;
  readonly listener: LoopbackListener;
}

/** A connection that was taken here and not opened at the host. */
interface Waiting {
  readonly socket: Socket;
  readonly port: number;
  readonly limit: NodeJS.Timeout;
}

/** What is open over one connection to the host. */
interface Carrier {
  readonly host: HostConnection;
  readonly open: Map<number, Carried>;
}

interface Carried {
  readonly bridge: Bridge;
  readonly pair: ChannelPair;
  readonly port: number;
}

export class Forwards implements Disposable {
  readonly #teller: RunTeller;
  readonly #forwards: Forward[] = [];
  /** Connections here that are not closed. */
  readonly #sockets = new Set<Socket>();
  readonly #waiting = new Set<Waiting>();
  #carrier: Carrier | undefined;
  #carriedBytes = 0;
  #allClosed = createDeferred<undefined>();
  /** What need not be said again. */
  readonly #said = new Set<string>();

  private constructor(teller: RunTeller) {
    this.#teller = teller;
  }

  /** Listens for all of them. Rejects with CANNOT_LISTEN, and listens nowhere then. */
  static async open(requests: readonly ForwardRequest[], teller: RunTeller): Promise<Forwards> {
    const forwards = new Forwards(teller);
    try {
      for (const request of requests) await forwards.#listen(request, requests);
      return forwards;
    } catch (error) {
      forwards[Symbol.dispose]();
      throw error;
    }
  }

  /** Says where it listens. */
  tell(): void {
    for (const { request, listener } of this.#forwards)
      this.#teller.emit({
        type: 'forward',
        port: request.port,
        wantedLocalPort: request.localPort,
        localPort: listener.port,
        addresses: listener.addresses,
      });
  }

  /** From here on connections go over this one, until it is over. */
  use(host: HostConnection): void {
    const carrier: Carrier = { host, open: new Map() };
    this.#carrier = carrier;
    host.hearOfForwards((news) => this.#hear(carrier, news));
    void host.connection.closed.then(() => {
      if (this.#carrier === carrier) this.#carrier = undefined;
      for (const { bridge } of carrier.open.values()) bridge.brokeThere();
    });
    this.#carryWaiting();
  }

  /**
   * The command has ended: no connection is taken any more, and those that are open get what the host still has
   * for them. Resolves when all are closed, or were reset because nothing moved.
   */
  async finish(): Promise<void> {
    this.#stopListening();
    const limit = performance.now() + MAX_LAST_BYTES_MS;
    let before = -1;
    while (this.#sockets.size > 0 && performance.now() < limit && before !== this.#carriedBytes) {
      before = this.#carriedBytes;
      await this.#allClosedWithin(QUIET_MS);
    }
    this[Symbol.dispose]();
  }

  /** Resets what is open. */
  [Symbol.dispose](): void {
    this.#stopListening();
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async #listen(request: ForwardRequest, all: readonly ForwardRequest[]): Promise<void> {
    const { port, localPort } = request;
    const listener = await listenOnLoopback({
      wantedPort: localPort,
      spared: new Set(all.map((other) => other.localPort)),
      onSocket: (socket) => this.#take(socket, port),
    });
    // Such as no descriptor being left for a connection: the next one may have one again.
    for (const server of listener.servers)
      server.on('error', (error) => {
        const why = systemErrorCode(error) ?? error.message;
        this.#warnOnce('forward-failed', `a connection to port ${port} cannot be taken: ${why}`);
      });
    this.#forwards.push({ request, listener });
  }

  #take(socket: Socket, port: number): void {
    // What is the matter with it comes as `close`.
    socket.on('error', () => undefined);
    if (this.#sockets.size >= MAX_FORWARDED) {
      socket.resetAndDestroy();
      this.#warnOnce(
        'too-many-forwarded',
        `${MAX_FORWARDED} connections to forwarded ports are open: no more are taken until one ends`,
      );
      return;
    }
    this.#sockets.add(socket);
    const limit = setTimeout(() => socket.resetAndDestroy(), WAIT_FOR_LINK_MS);
    const waiting = { socket, port, limit };
    this.#waiting.add(waiting);
    socket.once('close', () => {
      clearTimeout(limit);
      this.#waiting.delete(waiting);
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.#allClosed.resolve(undefined);
    });
    this.#carryWaiting();
  }

  #carryWaiting(): void {
    const carrier = this.#carrier;
    if (carrier === undefined) return;
    for (const waiting of this.#waiting) {
      // All numbers are in use where the host has not yet heard that some are not.
      const channel = freeNumber(carrier.open);
      if (channel === undefined) return;
      this.#waiting.delete(waiting);
      clearTimeout(waiting.limit);
      this.#carry(carrier, channel, waiting);
    }
  }

  #carry({ host, open }: Carrier, channel: number, { socket, port }: Waiting): void {
    host.send({ type: 'forward_open', channel, port });
    const windowBytes = forwardWindowBytes(open.size);
    const pair = host.connection.openPair(channel, { windowBytes });
    const bridge = new Bridge({
      pair,
      onBroken: () => host.send({ type: 'forward_broken', channel }),
      onTaken: (byteCount) => {
        this.#carriedBytes += byteCount;
      },
    });
    open.set(channel, { bridge, pair, port });
    bridge.join(socket);
  }

  /** Throws BAD_MESSAGE for news of what was not opened, or has not ended. */
  #hear({ host, open }: Carrier, { channel, ...news }: ForwardNews): void {
    const carried = open.get(channel);
    if (carried === undefined) throw badMessage(`${news.type} of channel ${channel}`);
    const { bridge, pair, port } = carried;
    if (news.type === 'forward_broken') {
      if (news.failure !== 'broken') this.#tellFailure(port, news.failure);
      bridge.brokeThere();
      return;
    }
    if (!pair.sender.hasEnded || !pair.receiver.hasEnded)
      throw badMessage(`${news.type} of channel ${channel}, which has not ended`);
    host.connection.release(channel);
    open.delete(channel);
    this.#carryWaiting();
  }

  /** Whoever connected sees it by itself, and tries again. */
  #tellFailure(port: number, failure: Exclude<ForwardFailure, 'broken'>): void {
    const message = `port ${port} of the run: ${failureWords(failure)}`;
    this.#teller.emit({ type: 'notice', code: 'forward-failed', message, level: 'detail' });
  }

  #warnOnce(code: string, message: string): void {
    if (this.#said.has(message)) return;
    this.#said.add(message);
    this.#teller.warn(code, message);
  }

  #stopListening(): void {
    for (const { listener } of this.#forwards)
      for (const server of listener.servers) server.close();
    for (const { socket } of this.#waiting) socket.resetAndDestroy();
  }

  async #allClosedWithin(limitMs: number): Promise<void> {
    this.#allClosed = createDeferred();
    const limit = setTimeout(() => this.#allClosed.resolve(undefined), limitMs);
    await this.#allClosed.promise;
    clearTimeout(limit);
  }
}

function freeNumber(open: ReadonlyMap<number, unknown>): number | undefined {
  for (let number = CHANNEL.firstForwarded; open.size < MAX_FORWARDED; number++)
    if (!open.has(number)) return number;
  return undefined;
}

function failureWords(failure: Exclude<ForwardFailure, 'broken'>): string {
  switch (failure) {
    case 'refused':
      return 'nothing listens there';
    case 'failed':
      return 'the host cannot connect to it';
    case 'run-over':
      return 'the command has ended';
    default:
      return assertNever(failure);
  }
}
