/**
 * Heartbeats and the dead-peer timer of a connection.
 *
 * The peer is dead when nothing came from it for `deadPeerMs`. A process that was suspended, or whose
 * loop was blocked, finds its timers due before it has read what waits in its socket: so the verdict
 * is given only after a grace time, in which any byte clears the peer.
 */
export interface LivenessOptions {
  readonly heartbeatIntervalMs: number;
  readonly deadPeerMs: number;
  /** Milliseconds of a clock that nobody can set. */
  readonly now: () => number;
  readonly sendHeartbeat: () => void;
  /** Called once, with the time in which nothing came. */
  readonly onDead: (silentMs: number) => void;
}

const MAX_GRACE_MS = 1000;

export class Liveness {
  readonly #options: LivenessOptions;
  readonly #interval: NodeJS.Timeout;
  #grace: NodeJS.Timeout | undefined;
  #lastReceivedMs: number;
  #isStopped = false;

  /** The timers hold no process alive: the connection's socket does. */
  constructor(options: LivenessOptions) {
    this.#options = options;
    this.#lastReceivedMs = options.now();
    this.#interval = setInterval(() => this.#tick(), options.heartbeatIntervalMs);
    this.#interval.unref();
  }

  /** Any byte is a sign of life: a large frame takes longer than the limit on a slow link. */
  received(): void {
    this.#lastReceivedMs = this.#options.now();
  }

  /** When a byte came last, by the clock that was given. */
  get lastReceivedMs(): number {
    return this.#lastReceivedMs;
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#interval);
    clearTimeout(this.#grace);
  }

  #tick(): void {
    this.#options.sendHeartbeat();
    if (this.#silentMs() < this.#options.deadPeerMs || this.#grace !== undefined) return;
    const graceMs = Math.min(MAX_GRACE_MS, this.#options.heartbeatIntervalMs);
    this.#grace = setTimeout(() => {
      // A process suspended during the grace time wakes up right here; the immediate comes after the
      // sockets have been read once more.
      setImmediate(() => this.#judge());
    }, graceMs);
    this.#grace.unref();
  }

  #judge(): void {
    this.#grace = undefined;
    if (this.#isStopped) return;
    const silentMs = this.#silentMs();
    if (silentMs < this.#options.deadPeerMs) return;
    this.stop();
    this.#options.onDead(silentMs);
  }

  #silentMs(): number {
    return this.#options.now() - this.#lastReceivedMs;
  }
}
