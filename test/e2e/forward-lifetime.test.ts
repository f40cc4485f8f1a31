/** `-L` over time: the run's end, outages, readers that stop, more connections than are carried. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, test } from 'node:test';
import { fixture } from '../support/commands.js';
import {
  ForwardScene,
  connectAs,
  exchange,
  freePort,
  localPort,
  readOut,
  sentBytes,
} from '../support/forwarded.js';
import { memoryOf, peakMemory } from '../support/memory.js';

const MIB = 1024 * 1024;

describe('a forwarded port', () => {
  test('ends with the run: what is open is closed, and the exit code is the command’s', async () => {
    await using scene = await ForwardScene.create();
    const { running, local } = await scene.serve();
    const held = connectAs(local, 'hold');
    await once(held, 'data');
    const stopped = connectAs(local, 'flood');
    await once(stopped, 'data');
    stopped.pause();
    const endedAt = readOut(held);
    await exchange(local, 'quit 5');
    const { code, stderr } = await running.ended;
    assert.equal(code, 5);
    assert.doesNotMatch(stderr, /warning|error/);
    await endedAt;
    stopped.destroy();
  });

  test('to something that outlives the run does not hold it up', async () => {
    await using scene = await ForwardScene.create();
    const lasting = net.createServer((socket) => socket.on('error', () => undefined).write('here'));
    lasting.listen(0, '127.0.0.1');
    await once(lasting, 'listening');
    const { port } = lasting.address() as net.AddressInfo;
    const running = scene.project.client.start(
      ['exec', '-L', `0:${port}`, '--', 'sh', '-c', 'read line; exit 4'],
      { cwd: scene.project.root, stdio: ['pipe', 'pipe', 'pipe'] },
    );
    const socket = net.connect(await localPort(running), '127.0.0.1');
    await once(socket, 'data');
    const got = readOut(socket);
    running.child.stdin?.end('go\n');
    assert.equal((await running.ended).code, 4);
    assert.equal((await got).broke, 'ECONNRESET');
    lasting.close();
  });

  test('is there in an outage: what was open breaks, what comes waits for the host', async () => {
    await using scene = await ForwardScene.create();
    const { running, local } = await scene.serve();
    const held = connectAs(local, 'hold');
    await once(held, 'data');
    const half = connectAs(local, 'half');
    assert.equal(String((await readOut(half)).bytes), 'that is all');
    const broken = readOut(held);
    await scene.proxy.goDown();
    assert.equal((await broken).broke, 'ECONNRESET');
    // Nobody who has read its end hears of it before they write.
    half.write('x');
    await new Promise((resolve) => half.once('close', resolve));
    const waiting = exchange(local, 'send 100000');
    await running.says(/connection lost; looking for the host/);
    await scene.proxy.comeBack();
    assert.ok((await waiting).bytes.equals(sentBytes(100_000)));
    // The server has heard of it, too.
    await running.says(/^held broke$/m);
    // A cut in the midst of a download is never taken for its end.
    const cut = connectAs(local, 'send 100000000');
    await once(cut, 'data');
    scene.proxy.cut();
    assert.equal((await readOut(cut)).broke, 'ECONNRESET');
    await exchange(local, 'quit 0');
    assert.equal((await running.ended).code, 0);
  });

  test('whose readers stop holds back their writers, and nobody else', async () => {
    await using scene = await ForwardScene.create();
    const { running, local } = await scene.serve();
    const peak = peakMemory(running);
    const upload = Buffer.alloc(32 * MIB);
    // Downloads that nobody reads, uploads that the server does not read: 16 of each.
    const stopped = await Promise.all(
      Array.from({ length: 32 }, async (_, index) => {
        const socket = connectAs(local, index % 2 === 0 ? 'flood' : 'stop');
        await once(socket, 'data');
        socket.pause();
        if (index % 2 === 1) socket.write(upload);
        return socket;
      }),
    );
    const got = await exchange(local, `send ${10 * MIB}`);
    assert.ok(got.bytes.equals(sentBytes(10 * MIB)));
    // The run's own output passes them by.
    const half = connectAs(local, 'half');
    await readOut(half);
    half.end('x');
    await running.says(/^after our end came 1$/m);
    const written = stopped.map((socket) => socket.writableLength);
    assert.ok(written.filter((length) => length > 0).length === 16, 'the uploads wait here');
    assert.ok(memoryOf(scene.host).peakMb < 300, `${memoryOf(scene.host).peakMb} MB on the host`);
    for (const socket of stopped) socket.destroy();
    await exchange(local, 'quit 0');
    const { peakMb } = await peak;
    assert.ok(peakMb < 300, `${peakMb} MB here`);
  });

  test('carries 256 connections at a time, and more as those end', async () => {
    await using scene = await ForwardScene.create();
    const { running, local } = await scene.serve();
    const open = await Promise.all(
      Array.from({ length: 256 }, async () => {
        const socket = connectAs(local, 'hold');
        await once(socket, 'data');
        return socket;
      }),
    );
    assert.equal((await exchange(local, 'send 5')).broke, 'ECONNRESET');
    await running.says(/warning: 256 connections to forwarded ports are open: no more/);
    const [first] = open;
    first?.end();
    await running.says(/^held ended$/m);
    if (first !== undefined && !first.destroyed) await once(first, 'close');
    assert.ok((await exchange(local, 'send 5')).bytes.equals(sentBytes(5)));
    for (const socket of open) socket.resetAndDestroy();
    // Numbers are used again, many times over.
    for (let round = 0; round < 4; round++) {
      const got = await Promise.all(
        Array.from({ length: 200 }, () => exchange(local, 'echo', Buffer.from('again'))),
      );
      assert.ok(got.every(({ bytes }) => String(bytes) === 'again'));
    }
    await exchange(local, 'quit 0');
    assert.equal((await running.ended).code, 0);
  });

  test('can be had of a run that was left, by attach', async () => {
    await using scene = await ForwardScene.create();
    const port = await freePort();
    const detached = await scene.start(
      ['--detach'],
      [process.execPath, fixture('serve-tcp.mjs'), String(port)],
    ).ended;
    const attach = (): ReturnType<ForwardScene['start']> =>
      scene.project.client.start(['attach', '-L', `0:${port}`, detached.text.trim()], {
        cwd: scene.project.root,
      });
    const running = attach();
    const local = await localPort(running);
    await running.says(/^ready$/m);
    assert.ok((await exchange(local, 'send 70000')).bytes.equals(sentBytes(70_000)));
    await exchange(local, 'quit 6');
    assert.equal((await running.ended).code, 6);
    // It is over: there is nothing to listen for.
    const again = await attach().ended;
    assert.deepEqual([again.code, again.stderr], [6, '']);
  });
});
