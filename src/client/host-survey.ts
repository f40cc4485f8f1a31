/** All paired hosts at once: who is up, how busy, how far away. */
import { RmtxError, isRmtxError, systemErrorCode } from '../errors.js';
import { parseFingerprint } from '../trust/fingerprint.js';
import { withHost } from './control.js';
import type { Call } from './control.js';
import type { ClientHome } from './home.js';
import { listKnownHosts } from './hosts.js';
import type { PairedHostInfo } from './hosts.js';
import { askStats } from './stats.js';
import type { StatsReading } from './stats.js';
import { isMismatch } from './unreached.js';

/**
 * `up`: it answers, and to us. `down`: nothing answers. `refused`: it does not know this client (any more).
 * `other`: another machine answers where it was. `unclear`: it is there, and what it says is no sense.
 */
export type HostState = 'up' | 'down' | 'refused' | 'other' | 'unclear';

export interface SurveyedHost extends PairedHostInfo {
  readonly state: HostState;
  /** Of one that is up. */
  readonly stats: StatsReading | undefined;
  /** Of one that is up: it has a workspace of the context that was asked about. */
  readonly hasWorkspace: boolean;
  /** Why it is not. */
  readonly error: RmtxError | undefined;
}

export interface SurveyOptions {
  readonly budgetMs: number;
  /** Told in one line what of the paired hosts could not be read. */
  readonly warn?: ((line: string) => void) | undefined;
  /** Asks about the workspaces of this context, too. */
  readonly contextKey?: string | undefined;
  /** The fingerprint of the only host to ask. */
  readonly only?: string | undefined;
  readonly abortSignal?: AbortSignal | undefined;
}

/**
 * Asks every paired host at the same time and has an answer of each after `budgetMs` at the latest, in the
 * order of their names. Never rejects for the sake of a host; the abort signal only ends the waiting.
 */
export async function surveyHosts(
  home: ClientHome,
  options: SurveyOptions,
): Promise<SurveyedHost[]> {
  const { only, warn } = options;
  const hosts = listKnownHosts(home, warn === undefined ? {} : { warn }).filter(
    ({ fingerprint }) => only === undefined || fingerprint === only,
  );
  const surveyed = await Promise.all(hosts.map((host) => askOne(home, host, options)));
  // What answered was noted as seen meanwhile, maybe at another address.
  const now = new Map(listKnownHosts(home).map((host) => [host.fingerprint, host]));
  return surveyed.map((host) => ({ ...host, ...now.get(host.fingerprint) }));
}

async function askOne(
  home: ClientHome,
  host: PairedHostInfo,
  { budgetMs, contextKey, abortSignal }: SurveyOptions,
): Promise<SurveyedHost> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(silent(host, budgetMs)), budgetMs);
  const giveUp = (): void => limit.abort(abortSignal?.reason);
  abortSignal?.addEventListener('abort', giveUp);
  const target = { home, host: parseFingerprint(host.fingerprint), config: undefined };
  try {
    const limits = { abortSignal: limit.signal };
    return await withHost(
      target,
      async (call, dialed) => {
        const stats = await askStats(call, dialed);
        const hasWorkspace = contextKey !== undefined && (await asksWorkspace(call, contextKey));
        return { ...host, state: 'up' as const, stats, hasWorkspace, error: undefined };
      },
      limits,
    );
  } catch (failure) {
    const isLate = limit.signal.aborted && !isMismatch(failure);
    const error = asError(isLate ? limit.signal.reason : failure);
    return { ...host, state: stateAfter(error), stats: undefined, hasWorkspace: false, error };
  } finally {
    clearTimeout(timer);
    abortSignal?.removeEventListener('abort', giveUp);
  }
}

/** A host that does not know the question says so: to it nothing can be told from something. */
async function asksWorkspace(call: Call, contextKey: string): Promise<boolean> {
  try {
    const answer = await call('POST', '/v1/contexts/find', { context_key: contextKey });
    return answer.boolean('has_workspace');
  } catch (error) {
    if (isRmtxError(error) && error.family === 'connection') throw error;
    return false;
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
