import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { PassThrough, Writable } from 'node:stream';
import { describe, test } from 'node:test';
import type { HostConnection } from '../../../src/client/connect.js';
import type { RunSinks } from '../../../src/client/run-events.js';
import { RunStreams } from '../../../src/client/streams.js';
import type { OutputOffsets } from '../../../src/client/streams.js';
import { CHANNEL } from '../../../src/protocol/messages.js';
import { LinkScene } from '../../support/linked.js';
import type { LyingVisit } from '../../support/lying-host.js';

const NOWHERE: OutputOffsets = { stdout: 0, stderr: 0 };

/** Both ends of a new connection. */
async function meet(
  scene: LinkScene,
): Promise<{ readonly here: HostConnection; readonly there: LyingVisit }> {
  const there = new Promise<LyingVisit>((resolve) => {
    scene.host.serve(async (visit) => {
      await visit.greet();
      resolve(visit);
      await visit.fallSilent();
    });
  });
  const { host } = await scene.link.connect((connection) => connection.welcome);
  return { here: host, there: await there };
}

function collector(): { readonly stream: Writable; readonly bytes: () => Buffer } {
  const pieces: Buffer[] = [];
  const stream = new Writable({
    write: (piece: Buffer, _encoding, done) => {
      pieces.push(piece);
      done();
    },
  });
  return { stream, bytes: () => Buffer.concat(pieces) };
}

function sinksOf(sinks: Partial<RunSinks>): RunSinks {
  return { onEvent: () => undefined, ...sinks };
}

describe('output', () => {
  test('goes on at the byte on the next connection, and says how far it has got', async () => {
    await using scene = await LinkScene.make();
    const all = randomBytes(300_000);
    const out = collector();
    const err = collector();
    let handedOver = NOWHERE;
    const streams = new RunStreams({
      sinks: sinksOf({ stdout: out.stream, stderr: err.stream }),
      offsets: NOWHERE,
      onHandedOver: (offsets) => (handedOver = offsets),
    });
    const first = await meet(scene);
    const receiving = streams.receive(first.here);
    await first.there.connection.openSend(CHANNEL.stdout).write(all.subarray(0, 100_000));
    while (streams.offsets.stdout < 100_000) await new Promise((done) => setImmediate(done));
    scene.proxy.cut();
    await assert.rejects(receiving);
    const second = await meet(scene);
    const { stdout } = streams.offsets;
    const rest = streams.receive(second.here);
    for (const [stream, bytes] of [
      ['stdout', all.subarray(stdout)],
      ['stderr', Buffer.from('e')],
    ] as const) {
      const channel = second.there.connection.openSend(CHANNEL[stream]);
      await channel.write(bytes);
      channel.end();
    }
    await rest;
    await streams.flushed();
    assert.ok(out.bytes().equals(all));
    assert.equal(err.bytes().toString(), 'e');
    assert.deepEqual(handedOver, { stdout: 300_000, stderr: 1 });
  });

  test('that nobody takes does not hold up the next connection', async () => {
    await using scene = await LinkScene.make();
    const all = randomBytes(700_000);
    const stdout = new PassThrough({ highWaterMark: 1000 });
    const streams = new RunStreams({
      sinks: sinksOf({ stdout, stderr: collector().stream }),
      offsets: NOWHERE,
    });
    const first = await meet(scene);
    const receiving = streams.receive(first.here);
    await first.there.connection.openSend(CHANNEL.stdout).write(all);
    while (streams.offsets.stdout === 0) await new Promise((done) => setImmediate(done));
    scene.proxy.cut();
    await assert.rejects(receiving);
    assert.ok(streams.offsets.stdout < 400_000, 'what is not taken is asked for again');
    const second = await meet(scene);
    const rest = streams.receive(second.here);
    await second.there.connection
      .openSend(CHANNEL.stdout)
      .write(all.subarray(streams.offsets.stdout));
    const pieces: Buffer[] = [];
    stdout.on('data', (piece: Buffer) => pieces.push(piece));
    while (streams.offsets.stdout < all.length) await new Promise((done) => setImmediate(done));
    second.there.connection.openSend(CHANNEL.stderr).end();
    scene.proxy.cut();
    await assert.rejects(rest);
    await streams.flushed();
    assert.ok(Buffer.concat(pieces).equals(all));
  });

  test('whose reader has gone is refused on each connection', async () => {
    await using scene = await LinkScene.make();
    const stdout = collector().stream;
    const streams = new RunStreams({
      sinks: sinksOf({ stdout, stderr: collector().stream }),
      offsets: NOWHERE,
    });
    stdout.destroy(Object.assign(new Error('EPIPE'), { code: 'EPIPE' }));
    await new Promise((done) => setImmediate(done));
    const { here, there } = await meet(scene);
    const receiving = streams.receive(here);
    receiving.catch(() => undefined);
    await there.connection.openSend(CHANNEL.stdout).cancelled;
  });

  test('that cannot be written fails, and the host keeps what was not taken', async () => {
    await using scene = await LinkScene.make();
    const stdout = new Writable({
      write: (_piece, _encoding, done) =>
        done(Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' })),
    });
    const handedOver: OutputOffsets[] = [];
    const streams = new RunStreams({
      sinks: sinksOf({ stdout, stderr: collector().stream }),
      offsets: NOWHERE,
      onHandedOver: (offsets) => handedOver.push(offsets),
    });
    const { here, there } = await meet(scene);
    const receiving = streams.receive(here);
    const [out, err] = [CHANNEL.stdout, CHANNEL.stderr].map((id) => there.connection.openSend(id));
    await out?.write(Buffer.from('lost'));
    out?.end();
    err?.end();
    await assert.rejects(
      receiving.then(() => streams.flushed()),
      { code: 'ERR_RMTX_OUTPUT_FAILED', message: /stdout cannot be written: ENOSPC/ },
    );
    assert.deepEqual(handedOver, []);
  });

  test('that the host has dropped is left out and counted', () => {
    const streams = new RunStreams({
      sinks: sinksOf({}),
      offsets: { stdout: 10, stderr: 20 },
    });
    assert.deepEqual(streams.skipTo({ stdout: 15, stderr: 20 }), { stdout: 5, stderr: 0 });
    assert.deepEqual(streams.offsets, { stdout: 15, stderr: 20 });
  });
});

describe('input', () => {
  test('goes on at the byte that the host wants, in the midst of what was sent', async () => {
    await using scene = await LinkScene.make();
    const all = randomBytes(900_000);
    const stdin = new PassThrough();
    const streams = new RunStreams({ sinks: sinksOf({ stdin }), offsets: NOWHERE });
    const first = await meet(scene);
    streams.send(first.here, 0);
    stdin.write(all.subarray(0, 500_000));
    let taken = 0;
    for await (const piece of first.there.connection.openReceive(CHANNEL.stdin)) {
      taken += piece.length;
      if (taken >= 200_000) break;
    }
    scene.proxy.cut();
    await first.here.connection.closed;
    const second = await meet(scene);
    streams.send(second.here, taken);
    stdin.end(all.subarray(500_000));
    const pieces: Buffer[] = [all.subarray(0, taken)];
    for await (const piece of second.there.connection.openReceive(CHANNEL.stdin))
      pieces.push(piece);
    assert.ok(Buffer.concat(pieces).equals(all));
  });

  test('whose end was lost ends on the next connection', async () => {
    await using scene = await LinkScene.make();
    const stdin = new PassThrough();
    const streams = new RunStreams({ sinks: sinksOf({ stdin }), offsets: NOWHERE });
    stdin.end('all of it');
    for (const [from, expected] of [
      [0, 'all of it'],
      [4, 'of it'],
      [9, ''],
    ] as const) {
      const { here, there } = await meet(scene);
      streams.send(here, from);
      const pieces: Buffer[] = [];
      for await (const piece of there.connection.openReceive(CHANNEL.stdin)) pieces.push(piece);
      assert.equal(Buffer.concat(pieces).toString(), expected);
      scene.proxy.cut();
      await here.connection.closed;
    }
  });

  test('from a byte that was never there, or is long gone, is refused', async () => {
    await using scene = await LinkScene.make();
    const streams = new RunStreams({
      sinks: sinksOf({ stdin: new PassThrough() }),
      offsets: NOWHERE,
    });
    streams.send((await meet(scene)).here, 0);
    scene.proxy.cut();
    const { here } = await meet(scene);
    assert.throws(() => streams.send(here, 1), /stdin wanted from byte 1/);
  });

  test('that the command does not want any more is let go of', async () => {
    await using scene = await LinkScene.make();
    const stdin = new PassThrough();
    const streams = new RunStreams({ sinks: sinksOf({ stdin }), offsets: NOWHERE });
    const { here, there } = await meet(scene);
    streams.send(here, 0);
    there.connection.openReceive(CHANNEL.stdin).cancel();
    await new Promise((resolve) => stdin.once('close', resolve));
  });
});
