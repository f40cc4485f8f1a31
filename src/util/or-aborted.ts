/**
 * What `promise` resolves to, or undefined once the signal is aborted. Leaves no listener behind: a race
 * with a promise that lives on would keep something for each call.
 */
export function orAborted<T>(
  promise: Promise<T>,
  abortSignal: AbortSignal,
): Promise<T | undefined> {
  if (abortSignal.aborted) {
    promise.catch(() => undefined);
    return Promise.resolve(undefined);
  }
  return new Promise((resolve, reject) => {
    const onAbort = (): void => resolve(undefined);
    abortSignal.addEventListener('abort', onAbort, { once: true });
    promise.finally(() => abortSignal.removeEventListener('abort', onAbort)).then(resolve, reject);
  });
}
