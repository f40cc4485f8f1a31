import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { PassThrough } from 'node:stream';
import type { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { RunOutput } from '../../../src/host/output.js';
import { Spool } from '../../../src/host/spool.js';
import type { SpoolOptions } from '../../../src/host/spool.js';
import { PeerConnection } from '../../../src/protocol/connection.js';
import type { ReceiveChannel } from '../../../src/protocol/connection.js';
import { temporaryDirectory } from '../../support/commands.js';
import { socketPair } from '../../support/socket-pair.js';

const STDOUT = 3;
const MEBIBYTE = 1024 * 1024;

interface Reader {
  readonly channel: ReceiveChannel;
  readonly done: Promise<unknown>;
  cut(): void;
}

class Scene implements AsyncDisposable {
  readonly output: RunOutput;
  readonly source = new PassThrough();
  readonly #pairs: AsyncDisposable[] = [];

  constructor(t: TestContext, options: SpoolOptions = {}) {
    this.output = new RunOutput(Spool.open(temporaryDirectory(t), 'stdout', options));
  }

  async reader(how: 'deliver' | 'show', offset: number, tail = true): Promise<Reader> {
    const pair = await socketPair();
    this.#pairs.push(pair);
    const [client, host] = [new PeerConnection(pair.left), new PeerConnection(pair.right)];
    const gone = new AbortController();
    void host.closed.then(() => gone.abort());
    const options = { offset, tail, abortSignal: gone.signal };
    const done = this.output[how](host.openSend(STDOUT), options).then(
      () => 'ended',
      (error: unknown) => (error as { code?: string }).code,
    );
    return { channel: client.openReceive(STDOUT), done, cut: () => client.destroy() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pair of this.#pairs) await pair[Symbol.asyncDispose]();
    this.output.spool[Symbol.dispose]();
  }
}

async function textOf(channel: ReceiveChannel): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of channel) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces).toString();
}

/** The output of a command that prints so many bytes. */
function printing(bytes: number): Readable {
  const { stdout } = spawn('head', ['-c', String(bytes), '/dev/zero'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return stdout;
}

/** Resolves when it has not grown for a while. */
async function settledLength(spool: Spool): Promise<number> {
  for (let before = -1; ;) {
    await new Promise((resolve) => setTimeout(resolve, 40));
    if (spool.length === before) return before;
    before = spool.length;
  }
}

describe('RunOutput', () => {
  test('a visitor who does not read holds the command back; when it is gone, it runs on', async (t) => {
    await using scene = new Scene(t);
    const reader = await scene.reader('deliver', 0);
    const total = 16 * MEBIBYTE;
    const pumped = scene.output.pump(printing(total));
    const held = await settledLength(scene.output.spool);
    assert.ok(held < 4 * MEBIBYTE, `${held} bytes`);
    // Those who only watch hold nobody back.
    const watcher = await scene.reader('show', 0);
    reader.cut();
    assert.equal(await reader.done, 'ERR_RMTX_CONNECTION_LOST');
    await pumped;
    assert.equal(scene.output.spool.length, total);
    const back = await scene.reader('deliver', 5 * MEBIBYTE);
    assert.equal((await textOf(back.channel)).length, total - 5 * MEBIBYTE);
    assert.equal((await textOf(watcher.channel)).length, total);
    assert.deepEqual([await back.done, await watcher.done], ['ended', 'ended']);
  });

  test('keeps what a visitor was sent and may not have', async (t) => {
    await using scene = new Scene(t, { segmentBytes: 64 * 1024, limitBytes: 64 * 1024 });
    const pumped = scene.output.pump(printing(8 * MEBIBYTE));
    const reader = await scene.reader('deliver', 0);
    let read = 0;
    for await (const piece of reader.channel) {
      read += piece.length;
      if (read > 5 * MEBIBYTE) break;
    }
    reader.cut();
    await Promise.all([reader.done, pumped]);
    assert.ok(scene.output.spool.firstOffset > 0);
    assert.equal(scene.output.firstFrom(read), read);
    const back = await scene.reader('deliver', read);
    assert.equal((await textOf(back.channel)).length, 8 * MEBIBYTE - read);
  });

  test('what was dropped is left out; one who watches too slowly is told by the loss of its connection', async (t) => {
    await using scene = new Scene(t, {
      segmentBytes: 1000,
      limitBytes: 1000,
      hardLimitBytes: 3000,
      tailBytes: 0,
    });
    const watcher = await scene.reader('show', 0);
    const pumped = scene.output.pump(scene.source);
    scene.source.end(Buffer.alloc(20_000, 'z'));
    await pumped;
    const first = scene.output.firstFrom(0);
    assert.ok(first >= 16_000 && first < 20_000);
    const late = await scene.reader('deliver', first);
    assert.equal((await textOf(late.channel)).length, 20_000 - first);
    assert.match(String(await watcher.done), /ERR_RMTX_CONNECTION_LOST|ended/);
  });

  test('who wants no more of it: a visitor closes it for the command, a watcher only leaves', async (t) => {
    await using scene = new Scene(t);
    const pumped = scene.output.pump(scene.source);
    const watcher = await scene.reader('show', 0);
    const visitor = await scene.reader('deliver', 0);
    scene.source.write('some');
    watcher.channel.cancel();
    scene.source.write('more');
    assert.equal(await watcher.done, 'ended');
    assert.equal(scene.source.destroyed, false);
    visitor.channel.cancel();
    await Promise.all([pumped, visitor.done]);
    assert.equal(scene.source.destroyed, true);
  });

  test('a look without staying ends with what there is', async (t) => {
    await using scene = new Scene(t);
    void scene.output.pump(scene.source);
    scene.source.write('so far');
    await scene.output.spool.waitForMore(5);
    const glance = await scene.reader('show', 3, false);
    assert.equal(await textOf(glance.channel), 'far');
    const beyond = await scene.reader('show', 100, false);
    assert.equal(await textOf(beyond.channel), '');
    scene.source.end();
  });

  test('at rest it is read from disk, and from memory no more', async (t) => {
    const directory = temporaryDirectory(t);
    const output = new RunOutput(Spool.open(directory, 'out'));
    output.spool.append(Buffer.from('kept'));
    output.rest();
    assert.equal(output.spool.read(0, 10).toString(), 'kept');
    output.spool.end();
    output.rest();
    assert.equal(output.spool.read(1, 10).toString(), 'ept');
    assert.equal(output.spool.keptBytes, 4);
    using empty = Spool.open(temporaryDirectory(t), 'out', { endOffset: 500 });
    assert.deepEqual([empty.firstOffset, empty.length, empty.keptBytes], [500, 500, 0]);
    using whole = Spool.open(directory, 'out', { endOffset: 500 });
    assert.deepEqual([whole.firstOffset, whole.length], [0, 4]);
  });
});
