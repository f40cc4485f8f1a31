/** Stops this thread for so many microseconds, rounded up to whole milliseconds: for workers only. */
export function blockThread(us: number): void {
  if (us > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.ceil(us / 1000));
}
