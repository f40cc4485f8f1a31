import { setTimeout as pause } from 'node:timers/promises';
import { formatAddress } from '../../transport/address.js';
import type { Address } from '../../transport/address.js';
import { createDeferred } from '../../util/deferred.js';
import { dial } from './tcp-step.js';
import type { Dial } from './tcp-step.js';

/** What the first address may lag behind another one that answered. */
const LAG_MS = 500;

/**
 * Dials all at once. Resolves when the first address answered, when all have been tried, or a moment after
 * another one answered; those that are still being tried count as silent then. Never rejects. What is open is
 * destroyed with the signal.
 */
export async function dialAll(
  addresses: readonly Address[],
  options: { readonly timeoutMs: number; readonly abortSignal: AbortSignal },
): Promise<ReadonlyMap<string, Dial>> {
  const startedAt = performance.now();
  const ends = new Map<string, Dial>();
  const enough = createDeferred<undefined>();
  const all = addresses.map(async (address, index) => {
    const end = await dial(address, options);
    ends.set(formatAddress(address), end);
    if (end.kind !== 'open') return;
    if (index > 0) await pause(LAG_MS, undefined, { ref: false });
    enough.resolve(undefined);
  });
  await Promise.race([Promise.all(all), enough.promise]);
  const silent: Dial = {
    kind: 'closed',
    errorCode: 'ETIMEDOUT',
    elapsedMs: performance.now() - startedAt,
  };
  return new Map(
    addresses.map(formatAddress).map((address) => [address, ends.get(address) ?? silent]),
  );
}
