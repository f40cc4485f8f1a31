/** All paired hosts at once: who is up, how busy, how far away. */
import { RmtxError, isRmtxError, systemErrorCode } from '../errors.js';
import { parseFingerprint } from '../trust/fingerprint.js';
import { withHost } from './control.js';
import type { ClientHome } from './home.js';
import { listKnownHosts } from './hosts.js';
import type { PairedHostInfo } from './hosts.js';
import { askStats } from './stats.js';
import type { StatsReading } from './stats.js';

/**
 * `up`: it answers, and to us. `down`: nothing answers. `refused`: it does not know this client (any more).
 * `other`: another machine answers where it was. `unclear`: it is there, and what it says is no sense.
 */
export type HostState = 'up' | 'down' | 'refused' | 'other' | 'unclear';

export interface SurveyedHost extends PairedHostInfo {
  readonly state: HostState;
  /** Of one that is up. */
  readonly stats: StatsReading | undefined;
  /** Why it is not. */
  readonly error: RmtxError | undefined;
}

/**
 * Asks every paired host at the same time and has an answer of each after `budgetMs` at the latest, in the
 * order of their names. Never rejects for the sake of a host.
 */
export async function surveyHosts(
  home: ClientHome,
  options: { readonly budgetMs: number; readonly warn?: (line: string) => void },
): Promise<SurveyedHost[]> {
  const { budgetMs, ...reading } = options;
  const hosts = listKnownHosts(home, reading);
  const surveyed = await Promise.all(hosts.map((host) => askOne(home, host, budgetMs)));
  // What answered was noted as seen meanwhile, maybe at another address.
  const now = new Map(listKnownHosts(home).map((host) => [host.fingerprint, host]));
  return surveyed.map((host) => ({ ...host, ...now.get(host.fingerprint) }));
}

async function askOne(
  home: ClientHome,
  host: PairedHostInfo,
  budgetMs: number,
): Promise<SurveyedHost> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(silent(host, budgetMs)), budgetMs);
  const target = { home, host: parseFingerprint(host.fingerprint), config: undefined };
  try {
    const stats = await withHost(target, askStats, { abortSignal: limit.signal });
    return { ...host, state: 'up', stats, error: undefined };
  } catch (failure) {
    const error = asError(limit.signal.aborted ? limit.signal.reason : failure);
    return { ...host, state: stateAfter(error), stats: undefined, error };
  } finally {
    clearTimeout(timer);
  }
}

function stateAfter(error: RmtxError): HostState {
  if (error.code === 'ERR_RMTX_NOT_PAIRED') return 'refused';
  if (error.code === 'ERR_RMTX_FINGERPRINT_MISMATCH') return 'other';
  return error.family === 'connection' ? 'down' : 'unclear';
}

function silent({ address }: PairedHostInfo, budgetMs: number): RmtxError {
  return new RmtxError(
    'ERR_RMTX_TIMED_OUT',
    `the host at ${address} did not answer within ${budgetMs} ms`,
    { hint: 'is it on and awake? rmtx ping waits longer' },
  );
}

function asError(failure: unknown): RmtxError {
  if (isRmtxError(failure)) return failure;
  const why = systemErrorCode(failure) ?? String(failure);
  return new RmtxError('ERR_RMTX_HOST_UNREACHABLE', `the host cannot be asked (${why})`, {
    cause: failure,
  });
}
