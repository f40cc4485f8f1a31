import assert from 'node:assert/strict';
import { test } from 'node:test';
import { derivePairingScalar } from '../../../src/trust/pairing-code.js';
import { MAX_WINDOW_TTL_MS, PairingWindow } from '../../../src/trust/pairing-window.js';
import type { PairingAttempt, WindowSecret } from '../../../src/trust/pairing-window.js';
import { TestClock } from './pairing-rig.js';

const MINUTE_MS = 60_000;
const right = (): string => 'right';
const wrong = (): undefined => undefined;

class Rig {
  readonly clock = new TestClock();
  readonly window = new PairingWindow({ now: this.clock.read });

  adopt(ttlMs = 5 * MINUTE_MS): WindowSecret {
    const secret = {
      scalar: Buffer.alloc(32, 3),
      expiresAtMs: this.clock.nowMs + ttlMs,
      label: undefined,
    };
    this.window.adopt(secret);
    return secret;
  }

  /** Lets a second pass and enters. */
  enter(): PairingAttempt {
    this.clock.nowMs += 1000;
    const admitted = this.window.admit();
    assert.ok(typeof admitted === 'object', JSON.stringify(admitted));
    return admitted;
  }

  guess(verify: () => string | undefined): string {
    using attempt = this.enter();
    const settlement = attempt.settle(verify);
    return settlement.kind === 'right' ? 'right' : settlement.reason;
  }

  burn(): void {
    this.adopt();
    for (let count = 0; count < 3; count++) assert.equal(this.guess(wrong), 'wrong-code');
  }
}

test('it is closed until the owner opens it, and shows what the owner needs', async () => {
  const { clock, window } = new Rig();
  assert.deepEqual(window.state, { kind: 'closed' });
  assert.equal(window.admit(), 'closed');
  const opened = await window.open({ ttlMs: 5 * MINUTE_MS, label: 'laptop' });
  assert.match(opened.code, /^[0-9]{8}$/);
  assert.equal(opened.expiresAt.getTime(), clock.nowMs + 5 * MINUTE_MS);
  assert.deepEqual(window.state, {
    kind: 'open',
    expiresAtMs: clock.nowMs + 5 * MINUTE_MS,
    label: 'laptop',
  });
  const attempt = window.admit();
  assert.ok(typeof attempt === 'object');
  assert.deepEqual(attempt.scalar, await derivePairingScalar(opened.code));
  assert.equal(attempt.label, 'laptop');
  window.close();
});

test('a lifetime that is no lifetime is refused', async () => {
  const { window } = new Rig();
  for (const ttlMs of [0, -1, Number.NaN, Infinity, MAX_WINDOW_TTL_MS + 1])
    await assert.rejects(window.open({ ttlMs }), { code: 'ERR_RMTX_BAD_ARGUMENT' });
});

test('of two openings at once the later one counts', async () => {
  const { window } = new Rig();
  const [, second] = await Promise.all([
    window.open({ ttlMs: MINUTE_MS, label: 'first' }),
    window.open({ ttlMs: MINUTE_MS, label: 'second' }),
  ]);
  const attempt = window.admit();
  assert.ok(typeof attempt === 'object');
  assert.equal(attempt.label, 'second');
  assert.deepEqual(attempt.scalar, await derivePairingScalar(second.code));
  const opening = window.open({ ttlMs: MINUTE_MS });
  window.close();
  await opening;
  assert.equal(window.state.kind, 'closed');
});

test('three wrong guesses burn it, counted before each is looked at', () => {
  const rig = new Rig();
  const { scalar } = rig.adopt();
  assert.equal(rig.guess(wrong), 'wrong-code');
  assert.throws(() =>
    rig.guess(() => {
      throw new Error('in the middle of the comparison');
    }),
  );
  using third = rig.enter();
  assert.deepEqual(third.settle(wrong), { kind: 'refused', reason: 'wrong-code', triesLeft: 0 });
  assert.equal(rig.window.state.kind, 'locked');
  assert.equal(rig.window.admit(), 'locked');
  assert.deepEqual(scalar, Buffer.alloc(32), 'the secret is wiped');
});

test('a guess after the last try is not looked at, however many are under way', () => {
  const rig = new Rig();
  rig.adopt();
  const attempts = Array.from({ length: 8 }, () => rig.enter());
  const reasons = attempts.map((attempt, index) => {
    let hasLooked = false;
    const settlement = attempt.settle(() => {
      hasLooked = true;
      return index < 3 ? undefined : 'right';
    });
    assert.equal(hasLooked, index < 3);
    return settlement.kind === 'refused' ? settlement.reason : settlement.kind;
  });
  assert.deepEqual(reasons.slice(0, 4), ['wrong-code', 'wrong-code', 'wrong-code', 'locked']);
});

test('two right guesses have one winner', () => {
  const rig = new Rig();
  rig.adopt();
  const [first, second] = [rig.enter(), rig.enter()];
  assert.deepEqual(second.settle(right), { kind: 'right', proof: 'right' });
  assert.deepEqual(first.settle(right), { kind: 'refused', reason: 'closed' });
  assert.equal(rig.window.admit(), 'closed');
});

test('an attempt has one guess', () => {
  const rig = new Rig();
  rig.adopt();
  using attempt = rig.enter();
  attempt.settle(wrong);
  assert.throws(() => attempt.settle(right), /one guess/);
});

test('it ends at its time, also for an exchange that began before', () => {
  const rig = new Rig();
  rig.adopt(MINUTE_MS);
  using attempt = rig.enter();
  rig.clock.nowMs += MINUTE_MS;
  assert.deepEqual(attempt.settle(right), { kind: 'refused', reason: 'expired' });
  assert.equal(rig.window.admit(), 'expired');
  assert.equal(rig.window.state.kind, 'closed');
});

test('a new window ends the one before, and its exchanges cost the new one no try', () => {
  const rig = new Rig();
  const old = rig.adopt();
  const attempts = Array.from({ length: 3 }, () => rig.enter());
  rig.adopt();
  assert.deepEqual(old.scalar, Buffer.alloc(32));
  for (const attempt of attempts)
    assert.deepEqual(attempt.settle(wrong), { kind: 'refused', reason: 'expired' });
  assert.equal(rig.guess(wrong), 'wrong-code');
  assert.equal(rig.guess(wrong), 'wrong-code');
  for (const attempt of attempts) attempt[Symbol.dispose]();
  assert.equal(rig.guess(right), 'right');
});

test('each burned window in a row doubles the pause, a new code ends it, a pairing forgets it', () => {
  const rig = new Rig();
  const pauseMs = (): number => {
    const { state } = rig.window;
    assert.ok(state.kind === 'locked');
    return state.untilMs - rig.clock.nowMs;
  };
  rig.burn();
  assert.equal(pauseMs(), 30_000);
  rig.burn();
  assert.equal(pauseMs(), 60_000);
  rig.clock.nowMs += 60_000;
  assert.equal(rig.window.state.kind, 'closed');
  for (let count = 0; count < 20; count++) rig.burn();
  assert.equal(pauseMs(), 60 * MINUTE_MS);
  rig.adopt();
  assert.equal(rig.window.state.kind, 'open');
  assert.equal(rig.guess(right), 'right');
  rig.burn();
  assert.equal(pauseMs(), 30_000);
});

test('eight exchanges at once and no more, whoever asks', () => {
  const rig = new Rig();
  rig.adopt();
  const attempts = Array.from({ length: 8 }, () => rig.enter());
  rig.clock.nowMs += 1000;
  assert.equal(rig.window.admit(), 'busy');
  // Released twice counts once.
  attempts[0]?.[Symbol.dispose]();
  attempts[0]?.[Symbol.dispose]();
  rig.enter();
  rig.clock.nowMs += 1000;
  assert.equal(rig.window.admit(), 'busy');
});

test('exchanges keep a distance, and a clock that is set back locks nobody out', () => {
  const rig = new Rig();
  rig.adopt();
  rig.enter();
  assert.equal(rig.window.admit(), 'busy');
  rig.clock.nowMs += 99;
  assert.equal(rig.window.admit(), 'busy');
  rig.clock.nowMs += 1;
  assert.ok(typeof rig.window.admit() === 'object');
  rig.clock.nowMs -= 1_000_000;
  assert.ok(typeof rig.window.admit() === 'object');
});

test('asking is notable once in ten seconds, and only while nothing else is the answer', () => {
  const rig = new Rig();
  assert.deepEqual(rig.window.answerAsk(), { state: 'closed', isNotable: true });
  for (let count = 0; count < 100; count++)
    assert.deepEqual(rig.window.answerAsk(), { state: 'closed', isNotable: false });
  rig.clock.nowMs += 10_000;
  assert.equal(rig.window.answerAsk().isNotable, true);
  rig.clock.nowMs += 10_000;
  rig.adopt();
  assert.deepEqual(rig.window.answerAsk(), { state: 'open', isNotable: false });
  rig.burn();
  assert.deepEqual(rig.window.answerAsk(), { state: 'locked', isNotable: false });
});
