/** Clients and strangers that come in numbers, or never finish: the host has room for others. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import type { TLSSocket } from 'node:tls';
import { describe, test } from 'node:test';
import { ALPN_CONTROL, ALPN_PAIRING, ALPN_RUN } from '../../src/protocol/messages.js';
import { LyingClient } from '../support/lying-client.js';
import type { LyingRun } from '../support/lying-client.js';
import { Scene, untilNoRuns } from '../support/lying-scene.js';
import { memoryOf } from '../support/memory.js';
import { Rig } from '../support/rig.js';

describe('a flood', () => {
  test(
    'of connections that say nothing is cut after ten seconds, however they trickle',
    { timeout: 60_000 },
    async () => {
      await using scene = await Scene.create();
      const stranger = LyingClient.stranger(scene.rig, scene.host);
      const { liar, host } = scene;
      const raw = (): Promise<net.Socket> => {
        const socket = net.connect(host.port, '127.0.0.1');
        socket.on('error', () => undefined);
        return once(socket, 'connect').then(() => socket);
      };
      const startedAt = performance.now();
      const hello = Buffer.from('{"type":"hello","protocol_min":1,"protocol_max":1,"version":"1"}');
      const frame = Buffer.concat([Buffer.of(0, 0, 0, hello.length + 1, 1), hello]);
      const open: Record<string, { socket: net.Socket; trickle: Buffer }> = {
        'nothing at all': { socket: await raw(), trickle: Buffer.alloc(0) },
        'a handshake, a byte at a time': {
          socket: await raw(),
          trickle: Buffer.concat([
            Buffer.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3),
            Buffer.alloc(50),
          ]),
        },
        'a paired client that says nothing': {
          socket: await liar.dial(),
          trickle: Buffer.alloc(0),
        },
        'a paired client, a byte at a time': { socket: await liar.dial(), trickle: frame },
        'a paired client that lives on': {
          socket: await liar.dial(),
          trickle: Buffer.concat(Array.from({ length: 20 }, () => Buffer.of(0, 0, 0, 1, 6))),
        },
        'a paired client that greets, and no more': {
          socket: await liar.dial(),
          trickle: Buffer.concat([frame, Buffer.alloc(50)]),
        },
        'a stranger': { socket: await stranger.dial(), trickle: frame },
        'a stranger who pairs slowly': {
          socket: await stranger.dial(ALPN_PAIRING),
          trickle: Buffer.concat([Buffer.of(0, 0, 0, 200), Buffer.alloc(150, ' ')]),
        },
        'a stranger at the control API': {
          socket: await stranger.dial(ALPN_CONTROL),
          trickle: Buffer.from(`GET / HTTP/1.1\r\nx: ${'x'.repeat(50)}`),
        },
      };
      const ends = Object.entries(open).map(async ([name, { socket, trickle }]) => {
        let at = 0;
        if (name.endsWith('and no more')) {
          socket.write(frame);
          at = frame.length;
        }
        const drip = setInterval(() => socket.write(trickle.subarray(at, ++at)), 250);
        socket.on('error', () => undefined);
        socket.resume();
        await once(socket, 'close');
        clearInterval(drip);
        const tookMs = performance.now() - startedAt;
        assert.ok(tookMs < 13_000, `${name}: ${tookMs} ms`);
      });
      await Promise.all(ends);
      await scene.assertUnhurt('trickle');
    },
  );

  test('of handshakes leaves room for others, and no memory is lost', async () => {
    await using scene = await Scene.create();
    const strangers = LyingClient.stranger(scene.rig, scene.host);
    for (const client of [strangers, scene.liar])
      for (const alpn of [ALPN_RUN, ALPN_CONTROL, ALPN_PAIRING]) {
        const sockets = await Promise.all(
          Array.from({ length: 150 }, () => client.dial(alpn).catch(() => undefined)),
        );
        await scene.assertUnhurt(alpn);
        for (const socket of sockets) socket?.destroy();
      }
    assert.ok(memoryOf(scene.host).peakMb < 500);
  });

  test('of runs is stopped at a number, and others are served meanwhile', async () => {
    await using scene = await Scene.create();
    const opened: LyingRun[] = [];
    const refusals = new Map<string, number>();
    const tries = Array.from({ length: 100 }, async () => {
      const run = await scene.liar.connect();
      try {
        await run.open();
        opened.push(run);
      } catch {
        const code = await run.ending();
        refusals.set(code, (refusals.get(code) ?? 0) + 1);
      }
    });
    await Promise.all(tries);
    await scene.assertUnhurt('many runs');
    assert.ok(opened.length <= 64, `${opened.length} runs`);
    assert.deepEqual([...refusals.keys()], ['ERR_RMTX_CONTEXT_BUSY']);
    assert.ok(memoryOf(scene.host).peakMb < 1500, `${memoryOf(scene.host).peakMb} MB`);
    for (const run of opened) run.connection.destroy();
    await untilNoRuns(scene.host);
    assert.equal(await scene.liar.exec(['echo', 'again']), 'again\n');
  });

  test('of connections of one client does not use up the descriptors of the host', async () => {
    await using rig = new Rig();
    const running = rig.start(
      ['host', '--listen', '127.0.0.1:0', '--state-dir', rig.newDirectory('host'), '--name', 'box'],
      { home: rig.newDirectory('home'), wrap: ['prlimit', '--nofile=512:512'] },
    );
    const address = (await running.says(/listening on (\S+)/))[1] ?? '';
    const host = {
      port: Number(address.split(':').at(-1)),
      stateDirectory: path.join(rig.directory, 'host-1'),
    };
    const [liar, other] = [LyingClient.paired(rig, host), LyingClient.paired(rig, host)];
    const sockets: (TLSSocket | undefined)[] = [];
    for (let batch = 0; batch < 6; batch++)
      sockets.push(
        ...(await Promise.all(
          Array.from({ length: 100 }, async () => {
            const socket = await liar.dial(ALPN_CONTROL).catch(() => undefined);
            socket?.write('GET /v1/ping HTTP/1.1\r\nhost: x\r\n');
            return socket;
          }),
        )),
      );
    assert.equal(await other.exec(['echo', 'served']), 'served\n');
    assert.equal(running.child.exitCode, null, running.stderr);
    for (const socket of sockets) socket?.destroy();
  });
});
