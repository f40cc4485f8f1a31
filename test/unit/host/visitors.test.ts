import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Visitors } from '../../../src/host/visitors.js';
import type { Visitor } from '../../../src/host/visitors.js';
import { createDeferred } from '../../../src/util/deferred.js';

class Guest implements Visitor {
  dismissals = 0;
  readonly notices: string[] = [];

  dismiss(): void {
    this.dismissals += 1;
  }

  notice(code: string, message: string): void {
    this.notices.push(`${code} ${message}`);
  }
}

describe('Visitors', () => {
  test('one at a time: a new one takes the place of the old, who then counts for nothing', () => {
    const visitors = new Visitors();
    const [first, second] = [new Guest(), new Guest()];
    visitors.arrive(first);
    visitors.arrive(first);
    visitors.arrive(second);
    assert.deepEqual([first.dismissals, second.dismissals], [1, 0]);
    visitors.leave(first);
    assert.equal(visitors.isCurrent(second), true);
    visitors.notice('a', 'b');
    assert.deepEqual([first.notices, second.notices], [[], ['a b']]);
    visitors.dismiss();
    assert.deepEqual([second.dismissals, visitors.isAnyoneThere], [1, false]);
    visitors.notice('a', 'b');
    visitors.dismiss();
  });

  test('acts once, when nobody has been there for so long at a stretch', async () => {
    const visitors = new Visitors();
    const guest = new Guest();
    visitors.arrive(guest);
    const acted = createDeferred<number>();
    let acts = 0;
    using _watch = visitors.whenAwayFor(60, () => {
      acts += 1;
      acted.resolve(performance.now());
    });
    for (let round = 0; round < 3; round++) {
      visitors.leave(guest);
      await delay(30);
      visitors.arrive(guest);
    }
    assert.equal(acts, 0);
    visitors.leave(guest);
    const leftAt = performance.now();
    assert.ok((await acted.promise) - leftAt > 55);
    visitors.arrive(guest);
    visitors.leave(guest);
    await delay(80);
    assert.equal(acts, 1);
  });

  test('what has passed counts; what is disposed never acts, nor does what is for ever', async () => {
    const visitors = new Visitors();
    await delay(50);
    const askedAt = performance.now();
    const acted = createDeferred<undefined>();
    using _watch = visitors.whenAwayFor(50, () => acted.resolve(undefined));
    const never = (): void => assert.fail('acted');
    visitors.whenAwayFor(10, never)[Symbol.dispose]();
    using _forEver = visitors.whenAwayFor(1e12, never);
    await acted.promise;
    assert.ok(performance.now() - askedAt < 45);
    await delay(20);
  });
});
