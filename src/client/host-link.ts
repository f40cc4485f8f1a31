/**
 * The way to one host for as long as a run takes. The first connection is made or fails as any would;
 * each one after it is looked for, with pauses, until it is found, the limit has passed or somebody gives
 * up. What has to be said and done on a connection is the caller's (`greet`), who hears of each outage once.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { RmtxError } from '../errors.js';
import type { Fingerprint } from '../trust/fingerprint.js';
import { formatDuration } from '../util/units.js';
import { backOffMs } from './back-off.js';
import { connectForRun, isConnectionLoss } from './connect.js';
import type { HostConnection } from './connect.js';
import type { ClientHome } from './home.js';
import type { HostChoice } from './host-choice.js';
import { HostSearch } from './host-search.js';
import { SleepWatch } from './sleep-watch.js';
import { isMismatch } from './unreached.js';

export interface HostLinkOptions {
  readonly home: ClientHome;
  /** Asked before each attempt: a host that has moved is found where another command has met it. */
  readonly choose: () => HostChoice;
  /** Ends whatever is under way, connections that stand included. */
  readonly abortSignal: AbortSignal;
  /** An outage that is longer is the end. */
  readonly limitMs: number;
  /** The host's own notices. */
  readonly onNotice: (code: string, message: string) => void;
  readonly onOutage: (outage: Outage) => void;
  readonly onDialedBack?: (() => void) | undefined;
}

/**
 * What there is to say of an outage: once that it lasts, where it does, and once that it is over. `wasSaid`:
 * the first of these came before. `wasSilent`: the host was not heard of for a long time before the connection
 * counted as lost, which is in `elapsedMs`.
 */
export type Outage =
  | { readonly kind: 'lasting' }
  | {
      readonly kind: 'over';
      readonly elapsedMs: number;
      readonly wasSaid: boolean;
      readonly wasSilent: boolean;
    };

export interface Greeted<T> {
  readonly host: HostConnection;
  readonly answer: T;
}

/** How long a host that was lost is looked for. */
export const RECONNECT_LIMIT_MS = 60 * 60 * 1000;

/** A shorter outage is worth no line. */
const SAID_AFTER_MS = 1000;
/** A host that is there says something every five seconds. */
const SILENT_MS = 10_000;
/**
 * A connection that carried this much, or held this long (longer than it takes to find out that nobody
 * answers), was a good one: what comes after it is a new outage.
 */
const GOOD_BYTES = 64 * 1024;
const GOOD_MS = 30_000;
/** One that is made in the midst of such an outage is believed in once it has held this long. */
const BELIEVED_AFTER_MS = 5000;

/** From the loss of a good connection to the next good one, whatever there is in between. */
interface Trouble {
  readonly sinceMs: number;
  /** Before that it took a while to find out that nobody answers. */
  readonly silentSinceMs: number;
  /** Somebody was told, and not yet that it is over. */
  isSaid: boolean;
  /** Connections that were made and did not last. */
  count: number;
}

export class HostLink implements Disposable {
  readonly #options: HostLinkOptions;
  readonly #sleepWatch: SleepWatch;
  #host: HostConnection | undefined;
  #connectedAtMs = 0;
  #fingerprint: Fingerprint | undefined;
  #attempts = 0;
  #trouble: Trouble | undefined;
  #believing: NodeJS.Timeout | undefined;
  /** Why the last connection broke. */
  #loss: Error | undefined;
  #awake = new AbortController();
  readonly #disposed = new AbortController();

  constructor(options: HostLinkOptions) {
    this.#options = options;
    this.#sleepWatch = new SleepWatch(() => this.#wake());
  }

  /**
   * Connects, greets, and gives the connection with what `greet` resolved to. Before the first success it
   * rejects with the first error; after it only with an error that is no loss of connection, with
   * CONNECTION_LOST once the limit has passed, or with the reason of the abort signal.
   */
  async connect<T>(greet: (host: HostConnection) => Promise<T>): Promise<Greeted<T>> {
    const { choose } = this.#options;
    if (this.#fingerprint === undefined)
      return this.#attempt(greet, choose(), { abortSignal: this.#endsWith() });
    const trouble = this.#beginTrouble();
    const limit = new AbortController();
    const timers = [
      setTimeout(
        () => this.#say(trouble),
        Math.max(0, trouble.sinceMs + SAID_AFTER_MS - performance.now()),
      ),
      setTimeout(() => limit.abort(), Math.min(this.#options.limitMs, 2 ** 31 - 1)),
    ];
    try {
      const greeted = await this.#connectAgain(greet, limit.signal);
      this.#endTrouble(trouble, greeted.host);
      return greeted;
    } finally {
      for (const timer of timers) clearTimeout(timer);
    }
  }

  get abortSignal(): AbortSignal {
    return this.#options.abortSignal;
  }

  /** Closes the connection that stands; the link can be used again. */
  close(): void {
    this.#host?.connection.destroy();
  }

  /** A connection that is being made ends, too: `connect` rejects. */
  [Symbol.dispose](): void {
    this.#disposed.abort();
    this.#sleepWatch[Symbol.dispose]();
    clearTimeout(this.#believing);
    this.close();
  }

  async #connectAgain<T>(
    greet: (host: HostConnection) => Promise<T>,
    limit: AbortSignal,
  ): Promise<Greeted<T>> {
    const { abortSignal, limitMs } = this.#options;
    const loss = this.#loss;
    let last: unknown;
    using search = this.#search();
    for (;;) {
      const ends = this.#endsWith(limit);
      try {
        const delayMs = backOffMs(this.#attempts++);
        if (search?.takeNews() !== true) await this.#pause(delayMs, ends);
        return await this.#attempt(greet, this.#sameHost(), { abortSignal: ends, search });
      } catch (error) {
        abortSignal.throwIfAborted();
        if (limit.aborted) throw tooLong(limitMs, { last, cause: loss });
        // Where it may be elsewhere, another machine at its address is no reason to give up.
        if (!isConnectionLoss(error) && !(search !== undefined && isMismatch(error))) throw error;
        last = error;
      }
    }
  }

  /** One for each attempt: sockets leave their listeners on it. */
  #endsWith(...others: readonly AbortSignal[]): AbortSignal {
    return AbortSignal.any([this.#options.abortSignal, this.#disposed.signal, ...others]);
  }

  async #attempt<T>(
    greet: (host: HostConnection) => Promise<T>,
    choice: HostChoice,
    how: { readonly abortSignal: AbortSignal; readonly search?: HostSearch | undefined },
  ): Promise<Greeted<T>> {
    const { home, onNotice, onDialedBack } = this.#options;
    const { abortSignal } = how;
    const host = await connectForRun({ home, choice, ...how, onNotice, onDialedBack });
    this.#host = host;
    this.#connectedAtMs = performance.now();
    void host.connection.closed.then(({ error }) => {
      this.#loss = error;
    });
    try {
      abortSignal.throwIfAborted();
      const answer = await greet(host);
      this.#fingerprint = host.fingerprint;
      return { host, answer };
    } catch (error) {
      host.connection.destroy();
      throw error;
    }
  }

  /** Where it may be by now; and it alone: a run does not move on to another host. */
  #sameHost(): HostChoice {
    const choice = this.#options.choose();
    if (this.#fingerprint === undefined) return choice;
    const pins = [this.#fingerprint];
    return { ...choice, pins, lookAround: choice.lookAround && { ...choice.lookAround, pins } };
  }

  /** Undefined where nobody is to look around. */
  #search(): HostSearch | undefined {
    const { lookAround } = this.#sameHost();
    return lookAround && new HostSearch(lookAround, () => this.#awake.abort());
  }

  /**
   * The trouble that there is, or a new one. Else a connection that always breaks at once would be made
   * again for ever, without any pause and without a word.
   */
  #beginTrouble(): Trouble {
    const nowMs = performance.now();
    const { connection } = this.#host ?? {};
    const bytes = (connection?.bytesSent ?? 0) + (connection?.bytesReceived ?? 0);
    const wasGood = bytes > GOOD_BYTES || nowMs - this.#connectedAtMs > GOOD_MS;
    clearTimeout(this.#believing);
    if (this.#trouble === undefined || wasGood) {
      this.#attempts = 0;
      const { lastReceivedMs = nowMs } = connection ?? {};
      const silentSinceMs = nowMs - lastReceivedMs > SILENT_MS ? lastReceivedMs : nowMs;
      this.#trouble = { sinceMs: nowMs, silentSinceMs, isSaid: false, count: 0 };
    }
    if (nowMs - this.#trouble.sinceMs > RECONNECT_LIMIT_MS)
      throw tooLong(RECONNECT_LIMIT_MS, { last: undefined, cause: this.#loss });
    return this.#trouble;
  }

  #say(trouble: Trouble): void {
    if (!trouble.isSaid) this.#options.onOutage({ kind: 'lasting' });
    trouble.isSaid = true;
  }

  /** Said at once the first time; of a connection that broke again, only when the next one has held. */
  #endTrouble(trouble: Trouble, { connection }: HostConnection): void {
    const over = (): void => {
      const elapsedMs = performance.now() - trouble.silentSinceMs;
      const wasSilent = trouble.count === 1 && trouble.silentSinceMs < trouble.sinceMs;
      this.#options.onOutage({ kind: 'over', elapsedMs, wasSaid: trouble.isSaid, wasSilent });
      trouble.isSaid = false;
    };
    trouble.count += 1;
    if (trouble.count === 1) {
      over();
      return;
    }
    this.#believing = setTimeout(over, BELIEVED_AFTER_MS);
    this.#believing.unref();
    void connection.closed.then(() => clearTimeout(this.#believing));
  }

  async #pause(milliseconds: number, ends: AbortSignal): Promise<void> {
    this.#awake = new AbortController();
    const signal = AbortSignal.any([ends, this.#awake.signal]);
    await pause(milliseconds, undefined, { signal }).catch(() => undefined);
    ends.throwIfAborted();
  }

  /** Whoever slept is not heard of any more, most likely: found out now instead of in 20 seconds. */
  #wake(): void {
    this.#awake.abort();
    this.#host?.connection.destroy(
      new RmtxError(
        'ERR_RMTX_CONNECTION_LOST',
        'the connection was lost: this machine was suspended',
      ),
    );
  }
}

/** `last` is why the last attempt failed, `cause` why there had to be one. */
function tooLong(
  limitMs: number,
  { last, cause }: { readonly last: unknown; readonly cause: unknown },
): RmtxError {
  const reason = last instanceof Error ? `: ${last.message}` : '';
  return new RmtxError(
    'ERR_RMTX_CONNECTION_LOST',
    `the host could not be reached for ${formatDuration(limitMs)}${reason}`,
    { cause },
  );
}
