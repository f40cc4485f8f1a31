/**
 * Two ways to one address: we dial the host, and where that does not get through, the host dials us. The
 * second begins only once the first has failed or takes long; whichever gets there first ends the other, and a
 * port that can be reached ends the second.
 */
import { RmtxError, isRmtxError } from '../errors.js';
import { createDeferred } from '../util/deferred.js';
import { afterFreeTime } from '../util/free-timer.js';

export interface TwoWays<T> {
  /** `onReached`: a connection stands, so that the port can be reached; what is left is up to who is there. */
  readonly direct: (abortSignal: AbortSignal, onReached: () => void) => Promise<T>;
  readonly reverse: (abortSignal: AbortSignal) => Promise<T>;
  readonly abortSignal?: AbortSignal | undefined;
  /** How long the direct way is alone; 0: no longer than it takes to see that it has got there already. */
  readonly delayMs?: number;
}

/** A port that can be reached takes a connection within one round trip. */
const DELAY_MS = 400;

/**
 * Both ways must reject, and leave nothing behind, when their signal is aborted, also after they have
 * resolved. Rejects with the error of the direct way, which tells of the other one where that was tried.
 */
export async function reachEitherWay<T>(ways: TwoWays<T>): Promise<T> {
  const { abortSignal, delayMs = DELAY_MS } = ways;
  const directEnd = new AbortController();
  const reverseEnd = new AbortController();
  const onAbort = (): void => {
    directEnd.abort(abortSignal?.reason);
    reverseEnd.abort(abortSignal?.reason);
  };
  abortSignal?.addEventListener('abort', onAbort, { once: true });
  if (abortSignal?.aborted === true) onAbort();
  const alone = createDeferred<undefined>();
  // What has come until then is heard first: a connection that stood before it was waited for.
  const endWait = afterFreeTime(delayMs, () => setImmediate(() => alone.resolve(undefined)));
  const onReached = (): void => {
    endWait();
    reverseEnd.abort(new NotNeeded());
  };
  try {
    const direct = ways.direct(directEnd.signal, onReached).finally(endWait);
    const reverse = Promise.race([alone.promise, direct.catch(() => undefined)]).then(async () => {
      reverseEnd.signal.throwIfAborted();
      return ways.reverse(reverseEnd.signal);
    });
    return await firstOf(direct, reverse, { directEnd, reverseEnd });
  } finally {
    endWait();
    abortSignal?.removeEventListener('abort', onAbort);
  }
}

class NotNeeded extends Error {}

async function firstOf<T>(
  direct: Promise<T>,
  reverse: Promise<T>,
  { directEnd, reverseEnd }: { directEnd: AbortController; reverseEnd: AbortController },
): Promise<T> {
  const won = await Promise.any([
    direct.then((result) => ({ result, loser: reverseEnd })),
    reverse.then((result) => ({ result, loser: directEnd })),
  ]).catch(async () => {
    const [ours, theirs] = await Promise.allSettled([direct, reverse]);
    throw joined(reasonOf(ours), reasonOf(theirs));
  });
  won.loser.abort();
  return won.result;
}

function reasonOf(settled: PromiseSettledResult<unknown>): unknown {
  return settled.status === 'rejected' ? settled.reason : undefined;
}

/** A host that nobody could ask to dial back is no more to say than that it is not there. */
function joined(direct: unknown, reverse: unknown): unknown {
  if (!isRmtxError(direct) || !isRmtxError(reverse)) return direct;
  const hints = [direct.hint, reverse.hint, 'rmtx doctor finds the cause'];
  return new RmtxError(direct.code, `${direct.message}, and ${reverse.message}`, {
    hint: hints.filter((hint) => hint !== undefined).join('; '),
    cause: direct.cause,
  });
}
