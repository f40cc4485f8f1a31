/**
 * When a host lets strangers try a code. The window opens on the host only, for minutes, for one code
 * and one client. Every limit is global and none is kept by address: IPv6 gives an attacker as many
 * addresses as he likes, and a table of them would be one more thing to fill.
 *
 * Held in memory only: after a restart there is no window. Time is the wall clock, because the person
 * is told the time at which the code ends; a clock that is set back prolongs a window, tries stay tries.
 */
import { RmtxError } from '../errors.js';
import { derivePairingScalar, generatePairingCode } from './pairing-code.js';
import type { PairingCode } from './pairing-code.js';
import type { AnsweredState, RefusalReason } from './pairing-messages.js';

/** With 10^7 codes: a chance of 3 in 10 million for each window, however long it is open. */
const MAX_TRIES = 3;
/** A longer life gains an attacker no tries, only time to find somebody who reads the code to him. */
export const MAX_WINDOW_TTL_MS = 24 * 60 * 60 * 1000;
/** Each exchange holds a connection for at most ten seconds. */
const MAX_CONCURRENT_EXCHANGES = 8;
/** An exchange costs the host about 9 ms of its one thread: strangers get at most a tenth of it. */
const MIN_SPACING_MS = 100;
/** How long nobody is heard after a burned window, doubled with each that follows without a pairing. */
const FIRST_PAUSE_MS = 30_000;
const MAX_PAUSE_MS = 60 * 60 * 1000;
/** A line on the host's terminal for each of these at most, whoever asks. */
const ASK_NOTICE_INTERVAL_MS = 10_000;

export interface PairingWindowOptions {
  /** Milliseconds since the epoch; for tests. */
  readonly now?: () => number;
}

export interface OpenOptions {
  readonly ttlMs: number;
  /** The name under which the client that pairs is stored, in place of its own. */
  readonly label?: string | undefined;
}

/** What makes a window: the code itself is only for the person's eyes. */
export interface WindowSecret {
  /** w of SPAKE2. Wiped when the window ends. */
  readonly scalar: Buffer;
  readonly expiresAtMs: number;
  readonly label: string | undefined;
}

export interface OpenedWindow {
  readonly code: PairingCode;
  readonly expiresAt: Date;
}

export type PairingState =
  | { readonly kind: 'closed' }
  | { readonly kind: 'open'; readonly expiresAtMs: number; readonly label: string | undefined }
  | { readonly kind: 'locked'; readonly untilMs: number };

/** One exchange that was let in. Always release it. */
export interface PairingAttempt extends Disposable {
  /** w; valid until the window ends. */
  readonly scalar: Buffer;
  /** The label the owner gave to the window. */
  readonly label: string | undefined;
  /**
   * The one guess of this exchange. Counts the try before it runs `verify`, so that no way out of the
   * comparison (a throw, a cut connection) is free. `verify` returns undefined for a wrong guess. The
   * first right one ends the window for all others; the last wrong one burns it. Refuses without running
   * `verify` where the window has ended since.
   */
  settle<T>(verify: () => T | undefined): Settlement<T>;
}

export type Settlement<T> =
  | { readonly kind: 'right'; readonly proof: T }
  | { readonly kind: 'refused'; readonly reason: RefusalReason; readonly triesLeft?: number };

interface LiveWindow extends WindowSecret {
  triesLeft: number;
  readonly expiryTimer: NodeJS.Timeout;
}

/** Makes a code and what a window needs of it; about 0.1 s, off the main loop. */
export async function createWindowSecret(
  options: OpenOptions,
  nowMs: number,
): Promise<{ readonly code: PairingCode; readonly secret: WindowSecret }> {
  const { ttlMs, label } = options;
  if (!Number.isFinite(ttlMs) || ttlMs <= 0 || ttlMs > MAX_WINDOW_TTL_MS)
    throw new RmtxError('ERR_RMTX_BAD_ARGUMENT', 'a pairing code can live for at most 24 hours');
  const code = generatePairingCode();
  const scalar = await derivePairingScalar(code);
  return { code, secret: { scalar, expiresAtMs: nowMs + ttlMs, label } };
}

/** The pairing window of one host. One instance for each host process. */
export class PairingWindow {
  readonly #now: () => number;
  #live: LiveWindow | undefined;
  /** Why there is no window, as far as a client that comes too late should know. */
  #endedAs: 'closed' | 'expired' = 'closed';
  #pausedUntilMs = 0;
  /** Windows burned since the last pairing. */
  #burnedInRow = 0;
  #activeExchanges = 0;
  #lastExchangeAtMs = -Infinity;
  #lastNoticeAtMs = -Infinity;
  /** Which call of open is the newest: an older one that is still deriving must not replace it. */
  #openings = 0;

  constructor(options: PairingWindowOptions = {}) {
    this.#now = options.now ?? Date.now;
  }

  get state(): PairingState {
    this.#expireIfDue();
    if (this.#live !== undefined)
      return { kind: 'open', expiresAtMs: this.#live.expiresAtMs, label: this.#live.label };
    return this.#now() < this.#pausedUntilMs
      ? { kind: 'locked', untilMs: this.#pausedUntilMs }
      : { kind: 'closed' };
  }

  /** Opens a window with a new code. The one before, if any, ends, and so does a pause. */
  async open(options: OpenOptions): Promise<OpenedWindow> {
    const opening = ++this.#openings;
    const { code, secret } = await createWindowSecret(options, this.#now());
    if (opening === this.#openings) this.adopt(secret);
    return { code, expiresAt: new Date(secret.expiresAtMs) };
  }

  /** Opens a window that was prepared elsewhere (see pending-window.ts); the secret is ours to wipe. */
  adopt(secret: WindowSecret): void {
    this.#openings += 1;
    this.#end('closed');
    this.#pausedUntilMs = 0;
    // Only wipes the secret in time; whether the window is open is asked of the clock each time.
    const expiryTimer = setTimeout(
      () => this.#expireIfDue(),
      Math.max(0, secret.expiresAtMs - this.#now()) + 1,
    );
    expiryTimer.unref();
    this.#live = { ...secret, triesLeft: MAX_TRIES, expiryTimer };
  }

  /** Ends the window, if any; exchanges under way fail. */
  close(): void {
    this.#openings += 1;
    this.#end('closed');
  }

  /** Lets one exchange in, or says why not. */
  admit(): PairingAttempt | RefusalReason {
    const state = this.state;
    if (this.#live === undefined) return state.kind === 'locked' ? 'locked' : this.#endedAs;
    const now = this.#now();
    const sinceLastMs = now - this.#lastExchangeAtMs;
    // A clock that was set back gives a negative distance, which must not lock anybody out.
    const isTooSoon = sinceLastMs >= 0 && sinceLastMs < MIN_SPACING_MS;
    if (this.#activeExchanges >= MAX_CONCURRENT_EXCHANGES || isTooSoon) return 'busy';
    this.#lastExchangeAtMs = now;
    this.#activeExchanges += 1;
    return this.#createAttempt(this.#live);
  }

  /** The answer to `ask`; `isNotable` says whether to tell the person at the host. */
  answerAsk(): { readonly state: AnsweredState; readonly isNotable: boolean } {
    const state = this.state.kind;
    return { state, isNotable: state === 'closed' && this.#takeNotice() };
  }

  /** True at most once in an interval: a stranger must not be able to flood the host's terminal. */
  #takeNotice(): boolean {
    const sinceLastMs = this.#now() - this.#lastNoticeAtMs;
    if (sinceLastMs >= 0 && sinceLastMs < ASK_NOTICE_INTERVAL_MS) return false;
    this.#lastNoticeAtMs = this.#now();
    return true;
  }

  #createAttempt(window: LiveWindow): PairingAttempt {
    let isSettled = false;
    let isReleased = false;
    return {
      scalar: window.scalar,
      label: window.label,
      settle: (verify) => {
        if (isSettled) throw new Error('a pairing attempt has one guess');
        isSettled = true;
        return this.#settle(window, verify);
      },
      [Symbol.dispose]: () => {
        if (!isReleased) this.#activeExchanges -= 1;
        isReleased = true;
      },
    };
  }

  #settle<T>(window: LiveWindow, verify: () => T | undefined): Settlement<T> {
    const state = this.state.kind;
    if (this.#live !== window) {
      // A newer window is open: this exchange's code is a thing of the past.
      if (state === 'open') return { kind: 'refused', reason: 'expired' };
      return { kind: 'refused', reason: state === 'locked' ? 'locked' : this.#endedAs };
    }
    window.triesLeft -= 1;
    let proof: T | undefined;
    try {
      proof = verify();
    } finally {
      if (proof === undefined && window.triesLeft <= 0) this.#burn();
    }
    if (proof === undefined)
      return { kind: 'refused', reason: 'wrong-code', triesLeft: window.triesLeft };
    this.#burnedInRow = 0;
    this.#end('closed');
    return { kind: 'right', proof };
  }

  #burn(): void {
    this.#end('closed');
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** this.#burnedInRow, MAX_PAUSE_MS);
    this.#burnedInRow += 1;
    this.#pausedUntilMs = this.#now() + pauseMs;
  }

  #expireIfDue(): void {
    if (this.#live !== undefined && this.#now() >= this.#live.expiresAtMs) this.#end('expired');
  }

  #end(endedAs: 'closed' | 'expired'): void {
    this.#endedAs = endedAs;
    if (this.#live === undefined) return;
    clearTimeout(this.#live.expiryTimer);
    this.#live.scalar.fill(0);
    this.#live = undefined;
  }
}
