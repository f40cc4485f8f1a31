/** The other way to a host whose port cannot be reached: it is asked by UDP to dial this machine, as `exec` asks it. */
import type { Socket } from 'node:net';
import { DISCOVERY_PORT } from '../../discovery/packets.js';
import { RmtxError, isRmtxError, systemErrorCode } from '../../errors.js';
import type { Address } from '../../transport/address.js';
import type { Fingerprint } from '../../trust/fingerprint.js';
import type { Identity } from '../../trust/identity.js';
import { calledBack } from '../dial-back.js';
import { reachEitherWay } from '../reach.js';
import { isLoopback } from './route.js';
import type { Dial } from './tcp-step.js';

/**
 * What became of asking; `reason` completes a sentence that began with what became of our own dial. `isThere`: it
 * answered, and came no further.
 */
export type WayBack =
  | { readonly kind: 'open'; readonly address: Address; readonly stream: Socket }
  | {
      readonly kind: 'closed';
      readonly reason: string;
      readonly hint?: string | undefined;
      readonly isThere?: boolean;
    };

export interface WayBackOptions {
  readonly identity: Identity;
  /** Undefined: nobody is paired with it. */
  readonly pins: readonly Fingerprint[] | undefined;
  /** Undefined: the config wants nothing asked. */
  readonly service: string | undefined;
  /** Also ends the connection that it led to. */
  readonly abortSignal: AbortSignal;
}

/** For the wait, the question and the dial, each as long as they may take for a command. */
const LIMIT_MS = 5700;

/**
 * Asks at every address at once, when the direct dials have failed or take long. Undefined where one of them got
 * there, and on this machine, where nobody needs to be asked. Never rejects.
 */
export async function wayBackBeside(
  direct: Promise<ReadonlyMap<string, Dial>>,
  addresses: readonly Address[],
  options: WayBackOptions,
): Promise<WayBack | undefined> {
  let failure: unknown;
  let isThere = false;
  const limit = new AbortController();
  const timer = setTimeout(
    () => limit.abort(new RmtxError('ERR_RMTX_TIMED_OUT', 'it did not dial back in time')),
    LIMIT_MS,
  );
  const way = await reachEitherWay<WayBack | undefined>({
    direct: async (_abortSignal, onReached) => {
      if (!isAnyOpen(await direct)) throw new Error('no port is open');
      onReached();
      return undefined;
    },
    reverse: (abortSignal) =>
      askAll(addresses, {
        ...options,
        abortSignal: AbortSignal.any([abortSignal, options.abortSignal, limit.signal]),
        onAnswer: () => {
          isThere = true;
        },
      }).catch((error: unknown) => {
        failure = error;
        throw error;
      }),
  }).catch(() => ({ ...closed(failure), isThere }));
  clearTimeout(timer);
  if (!isAnyOpen(await direct)) return addresses.some(isElsewhere) ? way : undefined;
  if (way?.kind === 'open') way.stream.destroy();
  return undefined;
}

function isAnyOpen(ends: ReadonlyMap<string, Dial>): boolean {
  return [...ends.values()].some(({ kind }) => kind === 'open');
}

function isElsewhere({ host }: Address): boolean {
  return !isLoopback(host);
}

/** The first that dials back; rejects as the first address did. */
async function askAll(
  addresses: readonly Address[],
  options: WayBackOptions & { readonly onAnswer: () => void },
): Promise<WayBack> {
  const { pins, service, abortSignal } = options;
  if (service === undefined) return notAsked('discovery is off in the config');
  if (pins === undefined) return notAsked('it does so for paired machines, and to pair');
  const calls = addresses.map((address) => ({ address, end: new AbortController() }));
  try {
    return await Promise.any(
      calls.map(async (call): Promise<WayBack> => {
        const { address, end } = call;
        const ends = AbortSignal.any([abortSignal, end.signal]);
        const called = { ...options, address, service, signedFor: pins, abortSignal: ends };
        const { taken: stream } = await calledBack({
          ...called,
          // Whose key it has, is the next steps' question.
          take: (each) => Promise.resolve(each),
        });
        ends.addEventListener('abort', () => stream.destroy(), { once: true });
        if (ends.aborted) stream.destroy();
        for (const other of calls) if (other !== call) other.end.abort();
        return { kind: 'open', address, stream };
      }),
    );
  } catch (error) {
    throw error instanceof AggregateError ? error.errors[0] : error;
  }
}

function notAsked(why: string): WayBack {
  return { kind: 'closed', reason: `it was not asked to dial back: ${why}` };
}

function closed(failure: unknown): WayBack {
  if (isRmtxError(failure)) return { kind: 'closed', reason: failure.message, hint: failure.hint };
  const code = systemErrorCode(failure);
  const why = failure instanceof Error && code === undefined ? failure.message : (code ?? '');
  return {
    kind: 'closed',
    reason: `it cannot be asked to dial back on UDP ${DISCOVERY_PORT} (${why})`,
  };
}
