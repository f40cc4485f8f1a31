import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HostSearch, LOOK_MS } from '../../../src/client/host-search.js';
import { ANNOUNCEMENT_PERIOD_MS } from '../../../src/discovery/packets.js';
import { Responder } from '../../../src/discovery/responder.js';
import type { Address } from '../../../src/transport/address.js';
import { fingerprintId } from '../../../src/trust/fingerprint.js';
import type { Fingerprint } from '../../../src/trust/fingerprint.js';
import { createDeferred } from '../../../src/util/deferred.js';

const pin = `sha256:${'ab'.repeat(32)}` as Fingerprint;

function hostAt(port: number, service: string): Responder {
  const identityPrefix = fingerprintId(pin);
  const facts = { service, name: 'box', port, identityPrefix, isPairingOpen: false };
  return new Responder({ facts: () => facts, listening: '127.0.0.1' });
}

test('one look is longer than the pause between two announcements', () => {
  assert.ok(LOOK_MS > ANNOUNCEMENT_PERIOD_MS + 1000);
});

test(
  'what is heard between two attempts is news for the next, once',
  { timeout: 20_000 },
  async () => {
    const service = `search-${process.pid}`;
    let news = createDeferred<undefined>();
    using search = new HostSearch({ service, pins: [pin] }, () => news.resolve(undefined));
    const first = new AbortController();
    const attempt = search.addresses(first.signal).next();
    first.abort();
    assert.deepEqual(await attempt, { done: true, value: undefined });
    assert.equal(search.takeNews(), false);

    await using _host = hostAt(45_001, service);
    await news.promise;
    assert.equal(search.takeNews(), true);
    assert.equal(search.takeNews(), false);
    const second = new AbortController();
    const heard: Address[] = [];
    const reading = (async () => {
      for await (const address of search.addresses(second.signal)) {
        heard.push(address);
        if (heard.length === 2) second.abort();
      }
    })();
    // An attempt that is under way is told of what comes, too.
    news = createDeferred<undefined>();
    await using _moved = hostAt(45_002, service);
    await reading;
    assert.deepEqual(
      heard.map(({ host, port }) => [host, port]),
      [
        ['127.0.0.1', 45_001],
        ['127.0.0.1', 45_002],
      ],
    );
  },
);

test('the end of the search ends whoever waits for it', async () => {
  const search = new HostSearch({ service: 'nobody', pins: [pin] }, () => undefined);
  const attempt = search.addresses(new AbortController().signal).next();
  search[Symbol.dispose]();
  assert.deepEqual(await attempt, { done: true, value: undefined });
});
