/** So many at once, so many a second: what a stranger may make this process do. */

export interface BucketOptions {
  readonly burst: number;
  readonly perSecond: number;
  /** Milliseconds that never go back; for tests. */
  readonly now?: () => number;
}

export class TokenBucket {
  readonly #burst: number;
  readonly #perMs: number;
  readonly #now: () => number;
  #tokens: number;
  #filledAtMs: number;

  constructor(options: BucketOptions) {
    this.#burst = options.burst;
    this.#perMs = options.perSecond / 1000;
    this.#now = options.now ?? (() => performance.now());
    this.#tokens = options.burst;
    this.#filledAtMs = this.#now();
  }

  /** Without taking one. */
  get hasToken(): boolean {
    this.#fill();
    return this.#tokens >= 1;
  }

  take(): boolean {
    if (!this.hasToken) return false;
    this.#tokens -= 1;
    return true;
  }

  #fill(): void {
    const nowMs = this.#now();
    this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#filledAtMs) * this.#perMs);
    this.#filledAtMs = nowMs;
  }
}

export interface KeyedBucketsOptions {
  readonly all: BucketOptions;
  readonly each: BucketOptions;
  readonly maxKeys: number;
}

/**
 * A bucket for everybody and one for each key. A table that is full forgets the key that came first: who
 * has many keys gets more than one share, and never more than the bucket for everybody holds.
 */
export class KeyedBuckets {
  readonly #options: KeyedBucketsOptions;
  readonly #all: TokenBucket;
  readonly #each = new Map<string, TokenBucket>();

  constructor(options: KeyedBucketsOptions) {
    this.#options = options;
    this.#all = new TokenBucket(options.all);
  }

  /** False where nobody would get anything: a reason not even to look at what came. */
  get hasToken(): boolean {
    return this.#all.hasToken;
  }

  get keyCount(): number {
    return this.#each.size;
  }

  take(key: string): boolean {
    return this.hasToken && this.#bucketOf(key).take() && this.#all.take();
  }

  #bucketOf(key: string): TokenBucket {
    const known = this.#each.get(key);
    if (known !== undefined) return known;
    const [oldest] = this.#each.keys();
    if (this.#each.size >= this.#options.maxKeys && oldest !== undefined) this.#each.delete(oldest);
    const bucket = new TokenBucket(this.#options.each);
    this.#each.set(key, bucket);
    return bucket;
  }
}
