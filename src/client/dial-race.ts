/**
 * One host, several addresses: dial the best one, and the next one beside it when that takes long (happy
 * eyeballs, RFC 8305). The first that succeeds ends the others.
 */
import { RmtxError } from '../errors.js';
import type { Address } from '../transport/address.js';
import { afterFreeTime } from '../util/free-timer.js';

export interface DialRace<T> {
  /** Best first. Each is asked for only when it is time to dial it; `over` is aborted at the race's end. */
  readonly addresses: (over: AbortSignal) => AsyncIterable<Address>;
  /** Must reject, and leave nothing behind, when the signal is aborted while it works. */
  readonly dial: (address: Address, abortSignal: AbortSignal) => Promise<T>;
  readonly abortSignal?: AbortSignal | undefined;
  /** How long an address has before the next one is tried, too. */
  readonly headStartMs?: number;
  /**
   * So long after the start a further address is not waited for any more when none is being dialled; without
   * it, each one is.
   */
  readonly patienceMs?: number | undefined;
}

/** As RFC 8305 §5 recommends. */
const HEAD_START_MS = 250;
/** Whoever makes up addresses on the network gets so many of our sockets. */
const MAX_AT_ONCE = 8;

/**
 * What the first dial that succeeds resolves to. Rejects with the error of the first address where all
 * have failed, with HOST_NOT_FOUND where there was none, and with the reason of the abort signal.
 */
export function raceDials<T>(options: DialRace<T>): Promise<T> {
  return new Promise((resolve, reject) => new Race(options, { resolve, reject }).advance());
}

interface RaceEnd<T> {
  resolve(result: T): void;
  reject(reason: unknown): void;
}

class Race<T> {
  readonly #options: DialRace<T>;
  readonly #addresses: AsyncIterator<Address>;
  readonly #end: RaceEnd<T>;
  readonly #over = new AbortController();
  readonly #dials = new Set<AbortController>();
  readonly #onAbort = (): void => this.#finish(() => this.#end.reject(this.#abortReason()));
  #endHeadStart: () => void = () => undefined;
  #patience: NodeJS.Timeout | undefined;
  #isImpatient = false;
  #dialed = 0;
  /** Of the best address that has failed so far. */
  #failure: { readonly rank: number; readonly error: unknown } | undefined;
  #isAsking = false;
  #isExhausted = false;
  #isOver = false;

  constructor(options: DialRace<T>, end: RaceEnd<T>) {
    this.#options = options;
    this.#end = end;
    this.#addresses = options.addresses(this.#over.signal)[Symbol.asyncIterator]();
    options.abortSignal?.addEventListener('abort', this.#onAbort);
    if (options.abortSignal?.aborted === true) this.#onAbort();
  }

  /** Dials one more address, unless there is a reason to wait. */
  advance(): void {
    if (this.#isOver || this.#isAsking || this.#isExhausted) return;
    if (this.#dials.size >= MAX_AT_ONCE) return;
    this.#isAsking = true;
    this.#limitPatience();
    this.#addresses.next().then(
      ({ done, value }) => {
        this.#isAsking = false;
        if (this.#isOver) return;
        if (done !== true) this.#dial(value);
        else this.#exhaust();
      },
      (error: unknown) => {
        this.#isAsking = false;
        this.#noteFailure(Infinity, error);
        this.#exhaust();
      },
    );
  }

  #dial(address: Address): void {
    const dial = new AbortController();
    const rank = this.#dialed++;
    this.#dials.add(dial);
    this.#giveHeadStart();
    this.#options.dial(address, dial.signal).then(
      (result) => {
        this.#dials.delete(dial);
        this.#finish(() => this.#end.resolve(result));
      },
      (error: unknown) => {
        this.#dials.delete(dial);
        this.#noteFailure(rank, error);
        this.advance();
        // One that is known already comes before that.
        setImmediate(() => this.#endIfLost());
      },
    );
  }

  #giveHeadStart(): void {
    this.#endHeadStart();
    const headStartMs = this.#options.headStartMs ?? HEAD_START_MS;
    this.#endHeadStart = afterFreeTime(headStartMs, () => this.advance());
  }

  #limitPatience(): void {
    const { patienceMs } = this.#options;
    if (patienceMs === undefined) return;
    this.#patience ??= setTimeout(() => {
      this.#isImpatient = true;
      this.#endIfLost();
    }, patienceMs);
  }

  #noteFailure(rank: number, error: unknown): void {
    if (this.#failure === undefined || rank < this.#failure.rank) this.#failure = { rank, error };
  }

  #exhaust(): void {
    this.#isExhausted = true;
    this.#endIfLost();
  }

  #endIfLost(): void {
    if ((this.#isExhausted || this.#isImpatient) && this.#dials.size === 0)
      this.#finish(() => this.#end.reject(this.#failure?.error ?? nothingToDial()));
  }

  #finish(settle: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#endHeadStart();
    clearTimeout(this.#patience);
    this.#options.abortSignal?.removeEventListener('abort', this.#onAbort);
    for (const dial of this.#dials) dial.abort();
    // Both are needed: a generator that waits for something does not notice the second.
    this.#over.abort();
    void this.#addresses.return?.();
    settle();
  }

  #abortReason(): unknown {
    return this.#options.abortSignal?.reason;
  }
}

function nothingToDial(): RmtxError {
  return new RmtxError('ERR_RMTX_HOST_NOT_FOUND', 'no address of the host is known', {
    hint: 'say where it is with --host ADDR',
  });
}
