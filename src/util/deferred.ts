/** A promise with its two ends in hand (`Promise.withResolvers` is absent in Node 20). */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

export function createDeferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  // A deferred may be rejected before anyone waits on it; whoever awaits later still sees the error.
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}
