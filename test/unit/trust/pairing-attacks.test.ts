/** What must not work: each test is an attacker with a right to speak, and none to succeed. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { p256 } from '@noble/curves/nist.js';
import { pairAsClient } from '../../../src/trust/pairing-exchange.js';
import type { PairingOutcome } from '../../../src/trust/pairing-exchange.js';
import { PairingWire, encodeFrame } from '../../../src/trust/pairing-wire.js';
import { TestHost, duplexPair, memoryChannels, rightScalar, wrongScalar } from './pairing-rig.js';
import { RogueClient, guess, recorded, refusalOfHonestClient, wanted } from './pairing-rogue.js';

describe('guessing', () => {
  test('three wrong codes burn the window, and then the right one is refused, too', async () => {
    const host = new TestHost();
    await host.open();
    for (const triesLeft of [2, 1, 0])
      assert.deepEqual(await guess(host, wrongScalar()), {
        type: 'refused',
        reason: 'wrong-code',
        tries_left: triesLeft,
      });
    await refusalOfHonestClient(host, 'ERR_RMTX_PAIRING_LOCKED_OUT');
    assert.deepEqual(host.trusted, []);
    assert.deepEqual(host.asked, [], 'nobody is told to open a window while pairing pauses');

    await host.open();
    const channels = memoryChannels();
    await Promise.all([host.serve(channels.host), pairAsClient(channels.client, wanted)]);
    assert.equal(host.trusted.length, 1);
  });

  test('an honest client that mistyped learns how many tries are left', async () => {
    const host = new TestHost();
    host.window.adopt({
      scalar: wrongScalar(),
      expiresAtMs: host.clock.nowMs + 60_000,
      label: undefined,
    });
    const channels = memoryChannels();
    await Promise.all([
      host.serve(channels.host),
      assert.rejects(pairAsClient(channels.client, wanted), {
        code: 'ERR_RMTX_PAIRING_CODE_WRONG',
        hint: /tries left: 2/,
      }),
    ]);
  });

  test('new keys and connections for every guess change nothing: the limit is global', async () => {
    const host = new TestHost();
    await host.open();
    const replies = [];
    for (let count = 0; count < 6; count++) replies.push(await guess(host, wrongScalar()));
    assert.deepEqual(
      replies.map(({ reason }) => reason),
      ['wrong-code', 'wrong-code', 'wrong-code', 'locked', 'locked', 'locked'],
    );
  });

  test('nine clients at once, whoever they are: the ninth is refused', async () => {
    const host = new TestHost();
    await host.open();
    const rogues = [];
    const served: Promise<PairingOutcome>[] = [];
    for (let count = 0; count < 8; count++) {
      const channels = memoryChannels();
      const rogue = new RogueClient(channels.client, wrongScalar());
      served.push(host.serve(channels.host));
      rogue.start();
      assert.equal((await rogue.receive()).type, 'share');
      rogues.push(rogue);
    }
    await refusalOfHonestClient(host, 'ERR_RMTX_PAIRING_BUSY');
    for (const rogue of rogues) rogue.wire.destroy();
    await Promise.all(served);
    const channels = memoryChannels();
    await Promise.all([host.serve(channels.host), pairAsClient(channels.client, wanted)]);
    assert.equal(host.trusted.length, 1);
  });

  test('the host’s answer to a share does not tell whether w was guessed', async () => {
    // pA = w*M makes the shared point the identity, if and only if the guess is right.
    const M = p256.Point.fromHex(
      '02886e2f97ace46e55ba9dd7242579f2993b64e16ef3dcab95afd497333d8fa12f',
    );
    const host = new TestHost();
    await host.open();
    const triesLeft = [];
    for (const secret of [await rightScalar(), wrongScalar()]) {
      const channels = memoryChannels();
      const rogue = new RogueClient(channels.client, secret);
      const served = host.serve(channels.host);
      rogue.start(Buffer.from(M.multiply(BigInt(`0x${secret.toString('hex')}`)).toBytes(false)));
      assert.equal((await rogue.receive()).type, 'share');
      rogue.wire.send({ type: 'confirm', mac: '00'.repeat(32) });
      const refusal = await rogue.receive();
      assert.equal(refusal.reason, 'wrong-code');
      triesLeft.push(refusal.tries_left);
      rogue.wire.destroy();
      await served;
    }
    assert.deepEqual(triesLeft, [2, 1]);
  });
});

test('shares that are no points of the group are refused by both sides and cost no try', async () => {
  const zero = Buffer.alloc(64);
  const bad = [
    Buffer.of(0),
    Buffer.concat([Buffer.of(4), zero]),
    Buffer.concat([Buffer.of(4), Buffer.alloc(64, 1)]),
    Buffer.from(p256.Point.BASE.toBytes(true)),
    Buffer.concat([Buffer.from(p256.Point.BASE.toBytes(false)), Buffer.of(0)]),
    Buffer.alloc(0),
  ];
  const host = new TestHost();
  await host.open();
  for (const share of bad) {
    const channels = memoryChannels();
    const rogue = new RogueClient(channels.client, wrongScalar());
    const served = host.serve(channels.host);
    rogue.start(share);
    assert.deepEqual(await rogue.receive(), { type: 'refused', reason: 'failed' });
    assert.equal((await served).kind, 'failed');
    rogue.wire.destroy();
  }
  assert.equal((await guess(host, wrongScalar())).tries_left, 2);

  for (const share of bad) {
    const channels = memoryChannels();
    const wire = new PairingWire(channels.host.stream, 5000);
    const failure = assert.rejects(pairAsClient(channels.client, wanted), {
      code: 'ERR_RMTX_PAIRING_FAILED',
    });
    await wire.receive();
    wire.send({ type: 'share', version: 1, host_name: 'x', share: share.toString('hex') });
    await failure;
    wire.destroy();
  }
});

test('a recorded pairing, said again word for word, pairs nobody', async () => {
  const host = new TestHost();
  await host.open();
  const channels = memoryChannels();
  const record = recorded(channels.client.stream);
  await Promise.all([
    host.serve(channels.host),
    pairAsClient({ ...channels.client, stream: record.stream }, wanted),
  ]);
  assert.equal(host.trusted.length, 1);

  // Even with the same code in a new window and, which TLS rules out, the same exporter and keys.
  for (const exporter of [channels.client.exporter, randomBytes(32)]) {
    await host.open();
    const [near, far] = duplexPair();
    const served = host.serve({ ...channels.host, stream: far, exporter });
    near.write(Buffer.concat(record.sent()));
    assert.deepEqual(await served, { kind: 'refused', label: 'laptop', reason: 'wrong-code' });
    near.destroy();
  }
  assert.equal(host.trusted.length, 1);
});

describe('too late, too often', () => {
  test('the code after its time', async () => {
    const host = new TestHost();
    await host.open(60_000);
    host.clock.nowMs += 60_000;
    await refusalOfHonestClient(host, 'ERR_RMTX_PAIRING_CODE_EXPIRED');
  });

  test('the code when its time ends between share and confirmation', async () => {
    const host = new TestHost();
    await host.open(60_000);
    const channels = memoryChannels();
    const rogue = new RogueClient(channels.client, await rightScalar());
    const served = host.serve(channels.host);
    rogue.start();
    const reply = await rogue.receive();
    host.clock.nowMs += 60_000;
    assert.equal((await rogue.confirm(reply)).reason, 'expired');
    assert.equal((await served).kind, 'refused');
    rogue.wire.destroy();
  });

  test('the code after its use', async () => {
    const host = new TestHost();
    await host.open();
    const channels = memoryChannels();
    await Promise.all([host.serve(channels.host), pairAsClient(channels.client, wanted)]);
    await refusalOfHonestClient(host, 'ERR_RMTX_PAIRING_CLOSED');
    assert.equal(host.trusted.length, 1);
  });

  test('two clients with the right code at once: one is paired, and one is told it is over', async () => {
    const host = new TestHost();
    await host.open();
    const pairs = [memoryChannels(), memoryChannels()];
    const outcomes = await Promise.all([
      ...pairs.map((channels) => host.serve(channels.host)),
      ...pairs.map((channels) =>
        pairAsClient(channels.client, wanted).catch((error: unknown) => error),
      ),
    ]);
    assert.equal(host.trusted.length, 1);
    const codes = outcomes.slice(2).map((result) => (result as { code?: string }).code);
    assert.deepEqual(codes.sort(), ['ERR_RMTX_PAIRING_CLOSED', undefined]);
  });
});

describe('too slow', () => {
  const deadlineMs = 60;

  test('a peer that says nothing is given up by both sides', async () => {
    const host = new TestHost();
    const channels = memoryChannels();
    const outcome = await host.serve(channels.host, { deadlineMs });
    assert.ok(outcome.kind === 'failed' && outcome.error.code === 'ERR_RMTX_TIMED_OUT');
    assert.ok(channels.host.stream.destroyed);
    const silent = memoryChannels();
    await assert.rejects(pairAsClient(silent.client, { ...wanted, deadlineMs }), {
      code: 'ERR_RMTX_TIMED_OUT',
    });
    assert.ok(silent.client.stream.destroyed);
  });

  test('a peer that trickles bytes gains no time', async () => {
    const host = new TestHost();
    const channels = memoryChannels();
    const frame = encodeFrame({
      type: 'ask',
      versions: { min: 1, max: 1 },
      label: 'x'.repeat(900),
    });
    let at = 0;
    const trickle = setInterval(() => {
      channels.client.stream.write(frame.subarray(at, at + 1));
      at += 1;
    }, 2);
    const startedAt = performance.now();
    const outcome = await host.serve(channels.host, { deadlineMs });
    clearInterval(trickle);
    assert.ok(outcome.kind === 'failed' && outcome.error.code === 'ERR_RMTX_TIMED_OUT');
    assert.ok(at > 1 && at < frame.length);
    assert.ok(performance.now() - startedAt < 10 * deadlineMs);
  });

  test('a peer that stays after its answer is cut off at the same deadline', async () => {
    const host = new TestHost();
    const channels = memoryChannels();
    channels.client.stream.allowHalfOpen = true;
    channels.client.stream.write(
      encodeFrame({ type: 'ask', versions: { min: 1, max: 1 }, label: 'x' }),
    );
    channels.host.stream.allowHalfOpen = true;
    const closed = once(channels.host.stream, 'close');
    // The deadline's own timer does not keep a process alive; this one does.
    const keepAlive = setInterval(() => undefined, 1000);
    assert.equal((await host.serve(channels.host, { deadlineMs })).kind, 'asked');
    await closed;
    clearInterval(keepAlive);
  });
});

test('a label that would move the cursor, break the line or turn it round is shown escaped', async () => {
  const label = 'evil\n\u001b[2J\u202egnp.exe\u0000';
  const host = new TestHost();
  const asking = memoryChannels();
  const wire = new PairingWire(asking.client.stream, 5000);
  wire.send({ type: 'ask', versions: { min: 1, max: 1 }, label });
  const asked = await host.serve(asking.host);
  wire.destroy();

  await host.open();
  const channels = memoryChannels();
  const rogue = new RogueClient(channels.client, await rightScalar(), label);
  const served = host.serve(channels.host);
  assert.equal((await rogue.run()).type, 'confirm');
  const outcome = await served;
  rogue.wire.destroy();

  const expected = 'evil\\x0a\\x1b[2J\\u{202e}gnp.exe\\x00';
  assert.ok(asked.kind === 'asked' && outcome.kind === 'paired');
  assert.deepEqual([asked.label, host.asked[0], outcome.client.label], Array(3).fill(expected));
});
