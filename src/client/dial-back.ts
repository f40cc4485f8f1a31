/**
 * Asks the host to dial this machine, and takes the connection that proves the pinned key. Loaded only by whoever
 * does not get to the host: most never need it.
 */
import { lookup } from 'node:dns/promises';
import type { Socket } from 'node:net';
import { Caller } from '../discovery/caller.js';
import type { CookieAnswer } from '../discovery/call-packets.js';
import { DISCOVERY_PORT } from '../discovery/packets.js';
import { RmtxError } from '../errors.js';
import { ALPN_PAIRING } from '../protocol/messages.js';
import { formatAddress } from '../transport/address.js';
import type { Address } from '../transport/address.js';
import { ReverseTcp } from '../transport/reverse-tcp.js';
import { secureAsClient } from '../transport/secure-stream.js';
import type { SecureStream } from '../transport/secure-stream.js';
import { proveCallBack } from '../trust/call-back-proof.js';
import type { CallBackTerms } from '../trust/call-back-proof.js';
import { fingerprintId } from '../trust/fingerprint.js';
import type { Fingerprint } from '../trust/fingerprint.js';
import type { Identity } from '../trust/identity.js';

export interface DialedBack extends SecureStream {
  /** Of this machine: where the host dialled it. */
  readonly dialedBackTo: string;
}

export interface DialBackOptions {
  /** Where the host is; its port is of no interest here. */
  readonly address: Address;
  readonly identity: Identity;
  readonly alpn: string;
  /** Undefined: any key (pairing only). */
  readonly pins: readonly Fingerprint[] | undefined;
  /** A host of another service does not answer. */
  readonly service: string;
  /** Also ends the connection that it led to. */
  readonly abortSignal: AbortSignal;
  /** Another UDP port than everybody's; for tests. */
  readonly discoveryPort?: number;
}

/** A host in this network answers in milliseconds; the packet is sent three times. */
const ANSWER_MS = 1200;
/** Time for a connection whose first two packets are lost; the system sends the third after three seconds. */
const DIAL_BACK_MS = 4000;
const HANDSHAKE_MS = 5000;

/** Rejects as {@link calledBack}. Nothing is open afterwards but the connection that it resolves to. */
export async function dialedBack(options: DialBackOptions): Promise<DialedBack> {
  const { address, identity, alpn, pins, abortSignal } = options;
  const description = formatAddress(address);
  const { taken, dialedBackTo } = await calledBack({
    ...options,
    signedFor: alpn === ALPN_PAIRING ? undefined : (pins ?? []),
    take: (stream) =>
      secureAsClient({ stream, identity, alpn, pins, timeoutMs: HANDSHAKE_MS, description }),
  });
  const end = (): void => void taken.socket.destroy();
  abortSignal.addEventListener('abort', end, { once: true });
  if (abortSignal.aborted) end();
  return { ...taken, dialedBackTo };
}

export interface CallOptions<T> extends Omit<DialBackOptions, 'alpn' | 'pins'> {
  /** The hosts that may be asked as one who is paired with them; undefined: a stranger asks, to pair. */
  readonly signedFor: readonly Fingerprint[] | undefined;
  /** Rejects where the connection is not the host's: the next one may be. What is not needed is destroyed. */
  readonly take: (stream: Socket) => Promise<T>;
  /** It answers at all, or somebody who claims to be it. */
  readonly onAnswer?: () => void;
}

/**
 * The first connection that comes from there and is taken. Rejects with HOST_UNREACHABLE where the host was asked
 * in vain, and with a system's error where there is nobody to ask.
 */
export async function calledBack<T>(
  options: CallOptions<T>,
): Promise<{ readonly taken: T; readonly dialedBackTo: string }> {
  const { identity, signedFor, service, abortSignal } = options;
  const { address: hostAddress } = await lookup(options.address.host);
  abortSignal.throwIfAborted();
  using caller = await Caller.to(hostAddress, options.discoveryPort);
  const { localAddress } = caller;
  // No firewall stands between a machine and itself.
  if (isLoopback(localAddress)) throw new Error('the host is this machine');
  const streams = new Candidates(options.take);
  using listener = await ReverseTcp.listen({
    localAddress,
    hostAddress,
    onStream: (stream) => streams.try(stream),
  });
  const answer = await withLimit(ANSWER_MS, abortSignal, (over) => caller.ask(service, over));
  if (answer === undefined) throw silent(options.address);
  const { cookie } = answer;
  const { port } = listener;
  const terms = { address: localAddress, port, cookie, nonce: caller.nonce };
  const proof =
    signedFor === undefined ? undefined : proofFor(identity, { answer, signedFor, terms });
  options.onAnswer?.();
  const taken = await withLimit(DIAL_BACK_MS, abortSignal, (over) => {
    void caller.callBack({ cookie, port, proof }, over);
    return streams.firstBefore(over);
  });
  if (taken === undefined) throw notDialed(signedFor === undefined);
  return { taken: taken.value, dialedBackTo: localAddress };
}

function proofFor(
  identity: Identity,
  about: {
    readonly answer: CookieAnswer;
    readonly signedFor: readonly Fingerprint[];
    readonly terms: Omit<CallBackTerms, 'host'>;
  },
): ReturnType<typeof proveCallBack> {
  const { answer, signedFor, terms } = about;
  const host = signedFor.find((pin) => fingerprintId(pin) === answer.identityPrefix);
  if (host === undefined) throw new Error('another host answers there');
  return proveCallBack(identity, { ...terms, host });
}

/** The connections that came in: the first one that is taken ends the others. */
class Candidates<T> {
  readonly #take: CallOptions<T>['take'];
  readonly #streams = new Set<Socket>();
  #onTaken: ((value: T) => void) | undefined;

  constructor(take: CallOptions<T>['take']) {
    this.#take = take;
  }

  /** Nobody is expected before the host was asked. */
  try(stream: Socket): void {
    if (this.#onTaken === undefined) {
      stream.destroy();
      return;
    }
    this.#streams.add(stream);
    this.#take(stream).then(
      (value) => {
        this.#streams.delete(stream);
        if (this.#onTaken === undefined) stream.destroy();
        else this.#onTaken(value);
      },
      // A stranger who found the port; the host may still come.
      () => this.#streams.delete(stream),
    );
  }

  firstBefore(over: AbortSignal): Promise<{ readonly value: T }> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#onTaken = undefined;
        for (const stream of this.#streams) stream.destroy();
      };
      this.#onTaken = (value) => {
        end();
        resolve({ value });
      };
      over.addEventListener('abort', () => {
        end();
        reject(over.reason as Error);
      });
    });
  }
}

/** Undefined where it took too long; its signal is aborted when it is over, however it ended. */
async function withLimit<T>(
  limitMs: number,
  abortSignal: AbortSignal,
  work: (over: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), limitMs);
  try {
    return await work(AbortSignal.any([abortSignal, limit.signal]));
  } catch (error) {
    if (limit.signal.aborted && !abortSignal.aborted) return undefined;
    throw error;
  } finally {
    clearTimeout(timer);
    limit.abort();
  }
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}

function silent({ host }: Address): RmtxError {
  return new RmtxError(
    'ERR_RMTX_HOST_UNREACHABLE',
    `${host} does not answer on UDP ${DISCOVERY_PORT} either, to be asked to dial back`,
    { hint: 'its firewall has to let in the one or the other' },
  );
}

function notDialed(isPairing: boolean): RmtxError {
  return new RmtxError('ERR_RMTX_HOST_UNREACHABLE', 'it did not dial back when asked to', {
    hint: isPairing
      ? 'it does so while it shows a code (rmtx host pair-code there), where the firewall of this machine lets it in'
      : 'the firewall of this machine keeps it out, or it does not know this client any more',
  });
}
