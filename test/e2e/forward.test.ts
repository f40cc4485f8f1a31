/** `-L`: ports of the run, reached here. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import { describe, test } from 'node:test';
import { connectAs, exchange, readOut, sentBytes, sha256 } from '../support/forwarded.js';
import { ForwardScene, freePort, takePort } from '../support/forwarded.js';

const MIB = 1024 * 1024;
const DOWNLOAD_BYTES = process.env['RMTX_LONG_TESTS'] === '1' ? 100_000_000 : 20_000_000;

interface Fetched {
  readonly status: number;
  readonly body: string;
}

function fetchText(options: http.RequestOptions, upload?: Buffer): Promise<Fetched> {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', ...options }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => (body += text));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    request.on('error', reject);
    request.end(upload);
  });
}

describe('a port of the run', () => {
  test('serves pages, uploads and web sockets, on many connections at once', async () => {
    await using scene = await ForwardScene.create();
    const { running, local: port } = await scene.serve('serve-http.mjs');
    const pages = Array.from({ length: 200 }, (_, index) =>
      fetchText({ port, path: `/page-${index}/${(index * 37) % 5000}`, agent: false }),
    );
    for (const [index, page] of (await Promise.all(pages)).entries())
      assert.equal(page.body, `page-${index}\n`.repeat((index * 37) % 5000));

    const agent = new http.Agent({ keepAlive: true, maxSockets: 6 });
    const kept = Array.from({ length: 60 }, (_, index) =>
      fetchText({ port, path: `/kept-${index}`, agent }),
    );
    assert.ok((await Promise.all(kept)).every(({ body }, index) => body === `kept-${index}\n`));
    agent.destroy();

    const upload = sentBytes(5 * MIB);
    const { body } = await fetchText({ port, method: 'POST', agent: false }, upload);
    assert.equal(body, sha256(upload));

    const request = http.request({
      host: '127.0.0.1',
      port,
      headers: { connection: 'upgrade', upgrade: 'websocket' },
    });
    request.end();
    const [, socket] = (await once(request, 'upgrade')) as [unknown, net.Socket];
    for (const text of ['first', 'second', 'third']) {
      socket.write(text);
      assert.equal(String((await once(socket, 'data'))[0]), text);
    }
    socket.end('last');
    assert.equal(String((await readOut(socket)).bytes), 'last');
    running.child.kill('SIGINT');
    assert.equal((await running.ended).code, 130);
  });

  test('carries every byte down and up, each direction ended by itself', async () => {
    await using scene = await ForwardScene.create();
    const { running, local } = await scene.serve();
    const down = await exchange(local, `send ${DOWNLOAD_BYTES}`);
    assert.equal(down.broke, undefined);
    assert.equal(sha256(down.bytes), sha256(sentBytes(DOWNLOAD_BYTES)));

    const bytes = sentBytes(8 * MIB);
    // The answer comes after our end, and only then.
    assert.equal(String((await exchange(local, 'digest', bytes)).bytes), sha256(bytes));
    assert.equal(sha256((await exchange(local, 'echo', bytes)).bytes), sha256(bytes));

    // Theirs has ended, ours goes on.
    const half = connectAs(local, 'half');
    assert.equal(String((await readOut(half)).bytes), 'that is all');
    half.end(Buffer.alloc(3 * MIB));
    await running.says(/^after our end came 3145728$/m);

    const many = Array.from({ length: 50 }, (_, index) =>
      exchange(local, 'echo', sentBytes(20_000 + index)),
    );
    for (const [index, got] of (await Promise.all(many)).entries())
      assert.ok(got.bytes.equals(sentBytes(20_000 + index)), `connection ${index}`);
    assert.equal((await exchange(local, 'quit 7')).bytes.length, 0);
    assert.equal((await running.ended).code, 7);
  });

  test('that breaks is seen to break here, behind what it sent, and the other way round', async () => {
    await using scene = await ForwardScene.create();
    const { running, local } = await scene.serve();
    const resetting = connectAs(local, 'reset 300000');
    let arrived = 0;
    resetting.on('data', (piece: Buffer) => {
      arrived += piece.length;
      if (arrived === 300_000) resetting.write('now');
    });
    const reset = await readOut(resetting);
    assert.equal(reset.broke, 'ECONNRESET');
    assert.ok(reset.bytes.equals(sentBytes(300_000)), `${reset.bytes.length} bytes`);

    const held = connectAs(local, 'hold');
    await once(held, 'data');
    held.resetAndDestroy();
    await running.says(/^held broke$/m);
    const ended = connectAs(local, 'hold');
    await once(ended, 'data');
    ended.end();
    await running.says(/^held ended$/m);
  });

  test('is on loopback alone, by both of its addresses, until the run ends', async () => {
    await using scene = await ForwardScene.create();
    const { running, local } = await scene.serve('serve-tcp.mjs', { address: '::1' });
    for (const host of ['127.0.0.1', '::1', 'localhost']) {
      const socket = connectAs(local, 'send 5', host);
      const { bytes, broke } = await readOut(socket);
      assert.ok(bytes.equals(sentBytes(5)), `${host}: ${bytes.length} bytes, ${broke}`);
    }
    const others = Object.values(os.networkInterfaces())
      .flatMap((addresses = []) => addresses)
      .filter(({ internal, scopeid }) => !internal && !scopeid)
      .map(({ address }) => address);
    for (const host of ['127.0.0.2', ...others])
      assert.equal((await readOut(net.connect(local, host))).broke, 'ECONNREFUSED', host);
    await exchange(local, 'quit 0');
    assert.equal((await running.ended).code, 0);
    assert.equal((await readOut(net.connect(local, '127.0.0.1'))).broke, 'ECONNREFUSED');
  });

  test('where nothing listens refuses each connection, and works as soon as something does', async () => {
    await using scene = await ForwardScene.create();
    const port = await freePort();
    const running = scene.start(['-v', '-L', `0:${port}`], ['sleep', '1000']);
    const [, local] = await running.says(/127\.0\.0\.1:(\d+) leads to port/);
    const first = await readOut(net.connect(Number(local), '127.0.0.1'));
    assert.deepEqual(first, { bytes: Buffer.alloc(0), broke: 'ECONNRESET' });
    await running.says(new RegExp(`^rmtx: port ${port} of the run: nothing listens there$`, 'm'));
    // The host has no walls: what listens on its loopback is reached, whoever started it.
    const late = net.createServer((socket) => socket.end('late'));
    late.listen(port, '127.0.0.1');
    await once(late, 'listening');
    assert.equal(String((await readOut(net.connect(Number(local), '127.0.0.1'))).bytes), 'late');
    late.close();
    running.child.kill('SIGTERM');
    await running.ended;
  });

  test('is at the next free one here where it is taken, and says so', async () => {
    await using scene = await ForwardScene.create();
    await using taken = await takePort();
    await using alsoTaken = await takePort('::1', taken.port + 1);
    const port = await freePort();
    const flag = `${taken.port}:${port}`;
    const { code, stderr } = await scene.start(['-L', flag], ['true']).ended;
    assert.equal(code, 0);
    const said =
      /^rmtx: port (\d+) is taken here; using 127\.0\.0\.1:(\d+) instead\n$/.exec(stderr) ?? [];
    assert.equal(said[1], String(taken.port), stderr);
    assert.ok(Number(said[2]) > alsoTaken.port);

    const json = await scene.start(['--json', '-L', flag], ['true']).ended;
    const [event] = json.text.split('\n').map((line) => JSON.parse(line || '{}') as object);
    assert.deepEqual(event, {
      type: 'forward',
      port,
      wanted_local_port: taken.port,
      local_port: Number(said[2]),
      addresses: [`127.0.0.1:${said[2]}`, `[::1]:${said[2]}`],
    });
    // One that is free is nothing to talk of.
    const quiet = await scene.start(['-L', `${await freePort()}:${port}`], ['true']).ended;
    assert.deepEqual([quiet.code, quiet.stderr], [0, '']);
  });
});

test('what -L cannot mean is wrong usage, before anything happens', async () => {
  await using scene = await ForwardScene.create();
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [['-L', '0'], /hint: ports go from 1 to 65535/],
    [['-L', '65536'], /hint: ports go from 1 to 65535/],
    [['-L', '80:0'], /hint: ports go from 1 to 65535/],
    [['-L', 'http'], /-L http is not \[LOCAL:\]PORT/],
    [['-L', '0.0.0.0:3000'], /hint: the port is opened on 127\.0\.0\.1 of this machine/],
    [['-L', '8080:db.internal:5432'], /no name stands between: -L 8080:5432$/m],
    [['-L', '3000', '-L', '3000:80'], /-L asks for port 3000 here twice/],
    [['-L', '3000', '--detach'], /hint: give -L to rmtx attach/],
  ];
  for (const [flags, words] of wrong) {
    const { code, stderr } = await scene.start(flags, ['true']).ended;
    assert.equal(code, 2, stderr);
    assert.match(stderr, words);
  }
  assert.equal(scene.proxy.connections, 0);
});
