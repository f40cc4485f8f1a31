/**
 * What comes before a run where the host is not simply dialled: `--host auto` finds one, `--fallback` makes sure
 * that there is one. Nothing of the run is sent here, so whatever comes of it, nothing has started anywhere.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { ResolvedConfig } from '../config/resolved-config.js';
import { RmtxError } from '../errors.js';
import { formatAddress } from '../transport/address.js';
import { formatDuration } from '../util/units.js';
import { chooseAutoHost } from './auto-host.js';
import { rememberAutoHost } from './auto-memory.js';
import { backOffMs } from './back-off.js';
import { connectForRun, isConnectionLoss } from './connect.js';
import type { ClientHome } from './home.js';
import { autoRule, chooseHost } from './host-choice.js';
import type { HostChoice } from './host-choice.js';
import { HostSearch } from './host-search.js';
import type { RunTeller } from './run-teller.js';
import { isMismatch } from './unreached.js';

/** What to do where the host cannot be reached. */
export type Fallback = 'fail' | 'local' | 'wait';

/**
 * How long a host has to be reached, to prove who it is and to say that it takes us; more where somebody asked
 * for a longer look around.
 */
const BUDGET_MS = 2000;
const SAY_AGAIN_MS = 60_000;

export interface ArrangementOptions {
  readonly home: ClientHome;
  readonly config: ResolvedConfig;
  /** `--host`. */
  readonly host: string | undefined;
  readonly discoveryTimeoutMs: number | undefined;
  readonly fallback: Fallback;
  readonly teller: RunTeller;
  /** Ends all of it; it rejects with the signal's reason then. */
  readonly abortSignal: AbortSignal;
}

export type Arrangement =
  | {
      readonly kind: 'host';
      /** What to name to {@link chooseHost} for the run. */
      readonly host: string | undefined;
      /** Why this one, where it was chosen here. */
      readonly rule: string | undefined;
    }
  /** Nothing answers: the command is to run here. */
  | { readonly kind: 'local'; readonly reason: RmtxError };

/**
 * Rejects as a run would where there is no host for it. Only that nothing answers, or not in time, is a reason
 * for a fallback: a host that refuses, or has another key than the paired one, never is.
 */
export async function arrangeHost(options: ArrangementOptions): Promise<Arrangement> {
  const { fallback, abortSignal } = options;
  try {
    return await attempt(options);
  } catch (error) {
    abortSignal.throwIfAborted();
    if (fallback === 'fail' || !isConnectionLoss(error)) throw error;
    return fallback === 'local'
      ? { kind: 'local', reason: error }
      : await untilThere(options, error);
  }
}

async function attempt(options: ArrangementOptions, search?: HostSearch): Promise<Arrangement> {
  const { host, config } = options;
  const auto = autoRule({ named: host, config });
  if (auto !== undefined) return await takeAutoHost(options, auto);
  if (options.fallback !== 'fail') await meetHost(options, search);
  return { kind: 'host', host, rule: undefined };
}

async function takeAutoHost(
  { home, config, teller, abortSignal }: ArrangementOptions,
  auto: NonNullable<ReturnType<typeof autoRule>>,
): Promise<Arrangement> {
  const { name, fingerprint, why } = await chooseAutoHost({
    home,
    config,
    pin: auto.isFinal ? undefined : config.hostFingerprint,
    abortSignal,
    warn: (line) => teller.warn('damaged-record', line),
    onCandidate: (message) =>
      teller.emit({ type: 'notice', code: 'host-candidate', message, level: 'detail' }),
  });
  rememberAutoHost(home, config, fingerprint);
  return { kind: 'host', host: fingerprint, rule: `${auto.rule}: ${name}, because ${why}` };
}

/** Resolves when the host has proven who it is and has said that it takes runs of this client. */
async function meetHost(options: ArrangementOptions, search?: HostSearch): Promise<void> {
  const { home, teller, abortSignal } = options;
  const choice = choiceOf(options);
  const budgetMs = Math.max(BUDGET_MS, options.discoveryTimeoutMs ?? 0);
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(silent(choice, budgetMs)), budgetMs);
  try {
    const met = await connectForRun({
      home,
      choice,
      search,
      abortSignal: AbortSignal.any([abortSignal, limit.signal]),
      // The run itself will be told.
      onNotice: () => undefined,
    });
    try {
      await met.welcome;
    } finally {
      met.connection.destroy();
    }
    teller.emit({
      type: 'notice',
      code: 'host-there',
      message: `the host answers at ${met.address}`,
      level: 'detail',
    });
  } catch (error) {
    throw limit.signal.aborted && !isMismatch(error) ? limit.signal.reason : error;
  } finally {
    clearTimeout(timer);
  }
}

function choiceOf({ home, config, host, discoveryTimeoutMs }: ArrangementOptions): HostChoice {
  return chooseHost({ home, config, named: host, discoveryTimeoutMs });
}

function silent({ addresses: [first] }: HostChoice, budgetMs: number): RmtxError {
  const where = first === undefined ? '' : ` at ${formatAddress(first)}`;
  return new RmtxError(
    'ERR_RMTX_TIMED_OUT',
    `the host${where} did not answer within ${formatDuration(budgetMs)}`,
    { hint: 'is it on and awake? rmtx doctor finds the cause' },
  );
}

/** Tries again, with pauses that end when the host is heard of, for as long as that is all that is the matter. */
async function untilThere(options: ArrangementOptions, first: RmtxError): Promise<Arrangement> {
  const { teller, abortSignal } = options;
  const sinceMs = performance.now();
  const waited = (): string => formatDuration(performance.now() - sinceMs);
  let last = first;
  let awake = new AbortController();
  using search = searchFor(options, () => awake.abort());
  teller.warn('waiting-for-host', `${first.message}; waiting for it (Ctrl-C gives up)`);
  const timer = setInterval(
    () => teller.warn('waiting-for-host', `still waiting after ${waited()}: ${last.message}`),
    SAY_AGAIN_MS,
  );
  try {
    for (let count = 1; ; count++) {
      awake = new AbortController();
      const ends = AbortSignal.any([abortSignal, awake.signal]);
      if (search?.takeNews() !== true)
        await pause(backOffMs(count), undefined, { signal: ends }).catch(() => undefined);
      abortSignal.throwIfAborted();
      try {
        const arranged = await attempt(options, search);
        teller.warn('host-found', `the host is there after ${waited()}`);
        return arranged;
      } catch (error) {
        abortSignal.throwIfAborted();
        if (!isConnectionLoss(error)) throw error;
        last = error;
      }
    }
  } finally {
    clearInterval(timer);
  }
}

/** Undefined where nobody is to look around, and for `auto`, which asks each host where it was. */
function searchFor(options: ArrangementOptions, onNews: () => void): HostSearch | undefined {
  const { host, config } = options;
  if (autoRule({ named: host, config }) !== undefined) return undefined;
  const { lookAround } = choiceOf(options);
  if (lookAround === undefined || lookAround.pins.length === 0) return undefined;
  return new HostSearch(lookAround, onNews);
}
