import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { CommandInput } from '../../../src/host/command-input.js';
import { PeerConnection } from '../../../src/protocol/connection.js';
import { bytesOf } from '../../support/commands.js';
import { socketPair } from '../../support/socket-pair.js';

const STDIN = 2;

/** A command that prints what it is told, once it is told to go on, and a fresh connection for each feeder. */
class Scene implements AsyncDisposable {
  readonly input = new CommandInput();
  readonly child: ChildProcess;
  readonly printed: Promise<Buffer>;
  readonly #pairs: AsyncDisposable[] = [];

  constructor(script: string) {
    this.child = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    if (this.child.stdin === null || this.child.stdout === null) throw new Error('no pipes');
    this.child.stdin.on('error', () => undefined);
    this.printed = bytesOf(this.child.stdout);
    this.input.connect(this.child.stdin);
  }

  async feeder(): Promise<{ client: PeerConnection; fed: Promise<void>; host: PeerConnection }> {
    const pair = await socketPair();
    this.#pairs.push(pair);
    const [client, host] = [new PeerConnection(pair.left), new PeerConnection(pair.right)];
    return { client, host, fed: this.input.feed(host.openReceive(STDIN)) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL');
    for (const pair of this.#pairs) await pair[Symbol.asyncDispose]();
  }
}

describe('CommandInput', () => {
  test('goes on with the next feeder at the byte where the last one was cut', async () => {
    await using scene = new Scene('sleep 0.1; cat');
    const input = Buffer.from(Array.from({ length: 400_000 }, (_, n) => `${n} `).join(''));
    let offset = 0;
    for (const length of [10, 200_000, 1_200_000]) {
      const { client, host, fed } = await scene.feeder();
      const channel = client.openSend(STDIN);
      void channel.write(input.subarray(offset, offset + length)).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 10));
      client.destroy();
      await host.closed;
      scene.input.detach();
      assert.ok(scene.input.offset >= offset && scene.input.offset <= offset + length);
      offset = scene.input.offset;
      await fed;
      assert.equal(scene.input.offset, offset);
      assert.equal(scene.input.isOpen, true);
    }
    const { client, fed } = await scene.feeder();
    const channel = client.openSend(STDIN);
    void channel.write(input.subarray(offset));
    channel.end();
    await fed;
    assert.equal(scene.input.isOpen, false);
    assert.equal(scene.input.offset, input.length);
    assert.ok((await scene.printed).equals(input));
  });

  test('a feeder that was replaced adds nothing any more, and ends nothing', async () => {
    await using scene = new Scene('cat');
    const first = await scene.feeder();
    const old = first.client.openSend(STDIN);
    await old.write(Buffer.from('one '));
    while (scene.input.offset < 4) await new Promise((resolve) => setImmediate(resolve));
    const second = await scene.feeder();
    await old.write(Buffer.from('never '));
    old.end();
    const next = second.client.openSend(STDIN);
    await next.write(Buffer.from('two'));
    next.end();
    await Promise.all([first.fed, second.fed]);
    assert.equal(String(await scene.printed), 'one two');
  });

  test('tells the feeder when the command takes no more, also one that comes later', async () => {
    await using scene = new Scene('exec 0<&-; sleep 0.05');
    const { client } = await scene.feeder();
    const channel = client.openSend(STDIN);
    const pushing = setInterval(() => void channel.write(Buffer.from('x')), 5);
    await channel.cancelled;
    clearInterval(pushing);
    assert.equal(scene.input.isOpen, false);
    const late = await scene.feeder();
    await late.client.openSend(STDIN).cancelled;
    scene.input.end();
    await once(scene.child, 'close');
  });
});
