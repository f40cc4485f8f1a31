import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { raceDials } from '../../../src/client/dial-race.js';
import { RmtxError } from '../../../src/errors.js';
import type { Address } from '../../../src/transport/address.js';
import { createDeferred } from '../../../src/util/deferred.js';

/** Hosts by name; `asked` are those that somebody wanted to know of, and `isEnded` says that nobody does any more. */
function listOf(...hosts: readonly string[]) {
  const list = { asked: [] as string[], isEnded: false, addresses: iterate };
  async function* iterate(): AsyncGenerator<Address, void> {
    try {
      for (const host of hosts) {
        list.asked.push(host);
        yield { host, port: 1 };
      }
    } finally {
      list.isEnded = true;
    }
  }
  return list;
}

const untilAborted = (abortSignal: AbortSignal): Promise<never> =>
  new Promise((_, reject) =>
    abortSignal.addEventListener('abort', () => reject(new Error('aborted'))),
  );

const NEVER_MS = 2 ** 30;

test('a first address that answers is the only one that is asked for', async () => {
  const { addresses, ...list } = listOf('home', 'away');
  const got = await raceDials({
    addresses,
    dial: async ({ host }) => host,
    headStartMs: NEVER_MS,
  });
  assert.equal(got, 'home');
  assert.deepEqual(list.asked, ['home']);
});

test('one that fails leaves its turn to the next at once; the others are ended', async () => {
  const list = listOf('dead', 'slow', 'good', 'spare');
  const slow = createDeferred<AbortSignal>();
  const result = raceDials({
    addresses: list.addresses,
    dial: async ({ host }, abortSignal) => {
      if (host === 'dead') throw new Error('dead');
      if (host !== 'slow') return host;
      slow.resolve(abortSignal);
      return untilAborted(abortSignal);
    },
    headStartMs: 1,
  });
  assert.equal(await result, 'good');
  assert.ok((await slow.promise).aborted);
  assert.deepEqual(list.asked, ['dead', 'slow', 'good']);
  await new Promise(setImmediate);
  assert.ok(list.isEnded);
});

test('who still looks for addresses is told that nobody wants them any more', async () => {
  const ended = createDeferred<undefined>();
  const looking = createDeferred<undefined>();
  const got = await raceDials({
    addresses: async function* (over) {
      yield { host: 'home', port: 1 };
      looking.resolve(undefined);
      await untilAborted(over).catch(() => undefined);
      ended.resolve(undefined);
    },
    // Wins only once somebody looks for another.
    dial: ({ host }) => looking.promise.then(() => host),
    headStartMs: 0,
  });
  assert.equal(got, 'home');
  await ended.promise;
});

test('where all fail, the first address says why', async () => {
  const failing = (hosts: readonly string[]): Promise<never> =>
    raceDials({
      addresses: listOf(...hosts).addresses,
      dial: async ({ host }) => {
        throw new Error(host);
      },
    });
  await assert.rejects(failing(['a', 'b', 'c']), { message: 'a' });
  await assert.rejects(
    failing([]),
    (error: unknown) => error instanceof RmtxError && error.code === 'ERR_RMTX_HOST_NOT_FOUND',
  );
});

test('the first address says why also where another fails before it', async () => {
  const late = createDeferred<undefined>();
  const result = raceDials({
    addresses: listOf('slow', 'quick').addresses,
    dial: async ({ host }) => {
      if (host === 'slow') await late.promise;
      else setTimeout(() => late.resolve(undefined), 1);
      throw new Error(host);
    },
    headStartMs: 1,
  });
  await assert.rejects(result, { message: 'slow' });
});

describe('with a limit to its patience', () => {
  /** One address, and another only when the test says so. */
  function source(second: Promise<unknown>) {
    return async function* (over: AbortSignal): AsyncGenerator<Address, void> {
      yield { host: 'home', port: 1 };
      await Promise.race([second, untilAborted(over).catch(() => undefined)]);
      yield { host: 'heard', port: 1 };
    };
  }
  const dial = async ({ host }: Address): Promise<string> => {
    if (host === 'home') throw new Error(host);
    return host;
  };

  test('an address that nobody tells of is not waited for', async () => {
    const addresses = source(new Promise(() => undefined));
    await assert.rejects(raceDials({ addresses, dial, patienceMs: 5 }), { message: 'home' });
  });

  test('one that is told of in time is dialled', async () => {
    const addresses = source(new Promise((resolve) => setTimeout(resolve, 5)));
    assert.equal(await raceDials({ addresses, dial, patienceMs: NEVER_MS }), 'heard');
  });

  test('one that is known already is dialled also where there is no patience', async () => {
    const addresses = source(Promise.resolve());
    assert.equal(await raceDials({ addresses, dial, patienceMs: 0 }), 'heard');
  });

  test('it waits for what is being dialled, and listens meanwhile', async () => {
    const failed = createDeferred<undefined>();
    const result = raceDials({
      addresses: source(failed.promise),
      dial: async ({ host }) => {
        if (host !== 'home') return host;
        await new Promise((resolve) => setTimeout(resolve, 20));
        failed.resolve(undefined);
        return new Promise(() => undefined);
      },
      headStartMs: 1,
      patienceMs: 1,
    });
    assert.equal(await result, 'heard');
  });
});

test('a thread that was busy for the whole head start tries no other address', async () => {
  const list = listOf('home', 'away');
  const got = await raceDials({
    addresses: list.addresses,
    dial: ({ host }) => {
      const until = performance.now() + 200;
      while (performance.now() < until);
      // As an answer on a socket is: read after the timers that were due meanwhile.
      return new Promise((resolve) => setImmediate(() => resolve(host)));
    },
    headStartMs: 1,
  });
  assert.equal(got, 'home');
  assert.deepEqual(list.asked, ['home']);
});

test('no more than eight are dialled at a time', async () => {
  const hosts = Array.from({ length: 100 }, (_, n) => `host${n}`);
  const list = listOf(...hosts);
  const eighth = createDeferred<undefined>();
  const open = new Set<string>();
  const abort = new AbortController();
  const result = raceDials({
    addresses: list.addresses,
    dial: ({ host }, abortSignal) => {
      open.add(host);
      if (open.size === 8) eighth.resolve(undefined);
      return untilAborted(abortSignal);
    },
    headStartMs: 0,
    abortSignal: abort.signal,
  });
  await eighth.promise;
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(open.size, 8);
  abort.abort(new Error('enough'));
  await assert.rejects(result, { message: 'enough' });
});

test('a signal that is aborted before starts nothing', async () => {
  const list = listOf('home');
  const result = raceDials({
    addresses: list.addresses,
    dial: async () => assert.fail('dialled'),
    abortSignal: AbortSignal.abort(new Error('no')),
  });
  await assert.rejects(result, { message: 'no' });
  assert.deepEqual(list.asked, []);
});
