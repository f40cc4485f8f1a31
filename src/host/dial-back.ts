/**
 * Dials clients that cannot reach the host's TCP port and ask for it. A host never dials for a stranger: the
 * request is signed with the key of a paired client. The one exception is a stranger of this very network while
 * a code is shown, and he is served nothing but pairing. Either is dialled where his packet came from and nowhere
 * else, and the host, being the server of TLS there too, says nothing before it was spoken to.
 *
 * Whoever may not is not answered.
 */
import net from 'node:net';
import type { Socket } from 'node:net';
import type { CallBackRequest } from '../discovery/call-desk.js';
import { lanInterfaces, subnetCheck } from '../discovery/lan-interfaces.js';
import { fingerprintOfSpki, isCallBackProven } from '../trust/call-back-proof.js';
import type { Fingerprint } from '../trust/fingerprint.js';
import type { TrustStore, TrustedClient } from '../trust/trust-store.js';
import { printable } from '../util/printable.js';
import { KeyedBuckets, TokenBucket } from '../util/token-bucket.js';
import { describeFailure } from './routes.js';

export interface DialBackOptions {
  readonly fingerprint: Fingerprint;
  readonly trust: Pick<TrustStore, 'get'>;
  /** Until when a code is taken, in milliseconds since the epoch; undefined: none is. */
  readonly pairingUntilMs: () => number | undefined;
  /** Serves a connection that stands. */
  readonly serve: (socket: Socket, options: { readonly isPairingOnly: boolean }) => void;
  readonly log: (line: string) => void;
  /** An address of this machine that clients know it by, where it listens at one alone. */
  readonly localAddress?: string | undefined;
  /** Whether an address lies in a network that this machine is attached to; for tests. */
  readonly isNear?: (address: string) => boolean;
}

/** Below are other programs' ports, which no client listens at. */
const MIN_PORT = 1024;
const DIAL_TIMEOUT_MS = 5000;
const MAX_AT_ONCE = 8;
/** One client does not use up what is there for all. */
const MAX_AT_ONCE_EACH = 4;
const DIALS = {
  all: { burst: 100, perSecond: 20 },
  each: { burst: 20, perSecond: 2 },
  maxKeys: 512,
};
/** Pairing takes two connections: to ask, and with the code. */
const PAIRING_DIALS = { burst: 2, perSecond: 0.5 };
const MAX_DIALS_PER_WINDOW = 20;
const LINES = { burst: 10, perSecond: 0.1 };

interface Dial {
  readonly address: string;
  readonly port: number;
  /** Undefined: a stranger who wants to pair. */
  readonly client: TrustedClient | undefined;
}

export class DialBack implements Disposable {
  readonly #options: DialBackOptions;
  readonly #dialing = new Map<Socket, Fingerprint | undefined>();
  readonly #limits = new KeyedBuckets(DIALS);
  readonly #pairingLimit = new TokenBucket(PAIRING_DIALS);
  readonly #lines = new TokenBucket(LINES);
  #window = { untilMs: 0, dials: 0 };
  #isOver = false;

  constructor(options: DialBackOptions) {
    this.#options = options;
  }

  /** Dials, or does not. `request` is of somebody who has proven his address, and nothing else. */
  take(request: CallBackRequest): void {
    if (this.#isOver || request.port < MIN_PORT || this.#dialing.size >= MAX_AT_ONCE) return;
    try {
      this.#take(request);
    } catch (error) {
      // Such as a trust store that cannot be read: a packet is never the end of the host.
      this.#say(`somebody was not dialled back: ${describeFailure(error)}`);
    }
  }

  /** Ends what is being dialled; what stands already is not touched. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    for (const socket of this.#dialing.keys()) socket.destroy();
  }

  #take(request: CallBackRequest): void {
    const { source: address, port } = request;
    if (request.proof === undefined) {
      if (this.#maySeekPairing(address)) this.#dial({ address, port, client: undefined });
      return;
    }
    const client = this.#clientOf(request);
    if (client === undefined || !this.#mayDialFor(client)) return;
    this.#dial({ address, port, client });
  }

  #clientOf(request: CallBackRequest): TrustedClient | undefined {
    const { proof, source, port, cookie, nonce } = request;
    if (proof === undefined) return undefined;
    const client = this.#options.trust.get(fingerprintOfSpki(proof.spki));
    if (client === undefined) return undefined;
    const terms = { host: this.#options.fingerprint, address: source, port, cookie, nonce };
    return isCallBackProven(proof, terms) ? client : undefined;
  }

  #mayDialFor({ fingerprint }: TrustedClient): boolean {
    const owners = [...this.#dialing.values()];
    const own = owners.filter((owner) => owner === fingerprint).length;
    return own < MAX_AT_ONCE_EACH && this.#limits.take(fingerprint);
  }

  #maySeekPairing(address: string): boolean {
    const untilMs = this.#options.pairingUntilMs();
    const isNear = this.#options.isNear ?? subnetCheck(attachedNetworks());
    if (untilMs === undefined || !isNear(address)) return false;
    if (this.#window.untilMs !== untilMs) this.#window = { untilMs, dials: 0 };
    if (this.#window.dials >= MAX_DIALS_PER_WINDOW || !this.#pairingLimit.take()) return false;
    this.#window.dials += 1;
    return true;
  }

  #dial({ address, port, client }: Dial): void {
    const { serve, localAddress } = this.#options;
    const socket = net.connect({
      host: address,
      port,
      noDelay: true,
      ...(localAddress === undefined ? {} : { localAddress }),
    });
    this.#dialing.set(socket, client?.fingerprint);
    const timer = setTimeout(() => socket.destroy(), DIAL_TIMEOUT_MS);
    // Whoever takes it over listens for errors of his own.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      clearTimeout(timer);
      this.#dialing.delete(socket);
    });
    socket.once('connect', () => {
      clearTimeout(timer);
      this.#dialing.delete(socket);
      this.#say(
        `dialled back ${client === undefined ? 'somebody who wants to pair' : printable(client.label)} at ${address}, who cannot reach this host's port`,
      );
      serve(socket, { isPairingOnly: client === undefined });
    });
  }

  #say(line: string): void {
    if (this.#lines.take()) this.#options.log(line);
  }
}

/** Not this machine itself: its other users have no firewall to get around. */
function attachedNetworks(): ReturnType<typeof lanInterfaces> {
  return lanInterfaces().filter(({ isLoopback }) => !isLoopback);
}
