import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Liveness } from '../../../src/protocol/liveness.js';

/** The clock is the test's; the timers are real, short, and waited for by their heartbeats. */
class Rig implements Disposable {
  readonly liveness: Liveness;
  readonly deaths: number[] = [];
  nowMs = 1000;
  heartbeats = 0;
  #onHeartbeat = (): void => undefined;
  #onDead = (): void => undefined;

  constructor() {
    this.liveness = new Liveness({
      heartbeatIntervalMs: 5,
      deadPeerMs: 20_000,
      now: () => this.nowMs,
      sendHeartbeat: () => {
        this.heartbeats += 1;
        this.#onHeartbeat();
      },
      onDead: (silentMs) => {
        this.deaths.push(silentMs);
        this.#onDead();
      },
    });
  }

  async nextHeartbeat(): Promise<void> {
    await this.#held(new Promise<void>((resolve) => (this.#onHeartbeat = resolve)));
  }

  async death(): Promise<void> {
    await this.#held(new Promise<void>((resolve) => (this.#onDead = resolve)));
  }

  [Symbol.dispose](): void {
    this.liveness.stop();
  }

  /** The timers under test hold no process alive, so the test has to. */
  async #held(event: Promise<void>): Promise<void> {
    const hold = setInterval(() => undefined, 1000);
    await event;
    clearInterval(hold);
  }
}

test('sends a heartbeat every interval, and hears a peer that sends at all', async () => {
  using rig = new Rig();
  for (let round = 1; round <= 10; round++) {
    await rig.nextHeartbeat();
    assert.equal(rig.heartbeats, round);
    rig.nowMs += 19_000;
    rig.liveness.received();
  }
  assert.deepEqual(rig.deaths, []);
});

test('gives up on a peer that is silent for the limit, once', async () => {
  using rig = new Rig();
  rig.nowMs += 19_999;
  await rig.nextHeartbeat();
  await rig.nextHeartbeat();
  await rig.nextHeartbeat();
  assert.deepEqual(rig.deaths, []);
  rig.nowMs += 1;
  await rig.death();
  assert.deepEqual(rig.deaths, [20_000]);
});

test('does not give up on a peer whose bytes were waiting while this process was stopped', async () => {
  using rig = new Rig();
  await rig.nextHeartbeat();
  rig.nowMs += 60_000;
  // The timer is due at once; the socket is read only after it.
  await rig.nextHeartbeat();
  rig.liveness.received();
  for (let round = 0; round < 5; round++) await rig.nextHeartbeat();
  assert.deepEqual(rig.deaths, []);
});

test('does nothing after it was stopped, not even within the grace time', async () => {
  using rig = new Rig();
  rig.nowMs += 60_000;
  await rig.nextHeartbeat();
  rig.liveness.stop();
  using other = new Rig();
  for (let round = 0; round < 5; round++) await other.nextHeartbeat();
  assert.deepEqual(rig.deaths, []);
  assert.equal(rig.heartbeats, 1);
});
