import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AheadEntries } from '../../../src/client/ahead-entries.js';
import type { HostConnection } from '../../../src/client/connect.js';
import { AheadEntryReceiver } from '../../../src/protocol/ahead-entry-receiver.js';
import { PeerConnection } from '../../../src/protocol/connection.js';
import { CHANNEL } from '../../../src/protocol/messages.js';
import type { DirectoryEntry, FileEntry } from '../../../src/sync/entry.js';
import { KeptContents } from '../../../src/sync/kept-contents.js';
import { createDeferred } from '../../../src/util/deferred.js';
import { directoryEntry, fileEntry } from '../../support/entries.js';
import { socketPair } from '../../support/socket-pair.js';

/** A host that takes entries, once it is there, and what arrives at it. */
class Scene implements AsyncDisposable {
  readonly kept = new KeptContents();
  readonly #host = createDeferred<HostConnection | undefined>();
  readonly ahead = new AheadEntries({
    host: this.#host.promise,
    kept: this.kept,
    onSent: (bytes) => (this.sentBytes += bytes),
  });
  readonly arrived: string[] = [];
  sentBytes = 0;
  /** Resolves when the channel has ended. */
  readonly over: Promise<void>;
  readonly #near: PeerConnection;
  readonly far: PeerConnection;

  private constructor(near: PeerConnection, far: PeerConnection) {
    this.#near = near;
    this.far = far;
    const receiver = new AheadEntryReceiver({
      directory: ({ path }) => this.arrived.push(`${path}/`),
      file: ({ path }, bytes) => this.arrived.push(`${path} ${bytes.length}`),
    });
    this.over = far.openReceive(CHANNEL.aheadEntries).onData((piece) => receiver.push(piece));
    this.over.catch(() => undefined);
  }

  static async create(): Promise<Scene> {
    const { left, right } = await socketPair();
    return new Scene(new PeerConnection(left), new PeerConnection(right));
  }

  /** As a scan does it. */
  async find(...found: readonly string[]): Promise<void> {
    for (const name of found) {
      if (name.endsWith('/'))
        this.ahead.directory(directoryEntry(name.slice(0, -1)) as DirectoryEntry);
      else this.#file(name);
      await this.ahead.room();
    }
  }

  async hostArrives(): Promise<void> {
    this.#host.resolve({ connection: this.#near } as HostConnection);
    await this.#host.promise;
  }

  hostWantsNothing(): void {
    this.#host.resolve(undefined);
  }

  #file(name: string, text = name): void {
    const entry = fileEntry(name, text) as FileEntry;
    const bytes = Buffer.from(text);
    if (!this.ahead.file(entry, bytes)) this.kept.keep(entry.digest, bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#near.destroy();
    this.far.destroy();
    await Promise.all([this.#near.closed, this.far.closed]);
  }
}

describe('entries ahead of a scan', () => {
  test('go up in order, those found before the host was there first', async () => {
    await using scene = await Scene.create();
    await scene.find('a/', 'a/b');
    assert.equal(scene.sentBytes, 0);
    await scene.hostArrives();
    await scene.find('a/c/', 'a/c/d', 'e');
    await scene.ahead.end();
    await scene.over;
    assert.deepEqual(scene.arrived, ['a/', 'a/b 3', 'a/c/', 'a/c/d 5', 'e 1']);
    assert.ok(scene.sentBytes > 0);
  });

  test('go up also where the scan is over before the host is there', async () => {
    await using scene = await Scene.create();
    await scene.find('a/', 'a/b');
    const ended = scene.ahead.end();
    await scene.hostArrives();
    await ended;
    await scene.over;
    assert.deepEqual(scene.arrived, ['a/', 'a/b 3']);
  });

  test('are none where the host wants none', async () => {
    await using scene = await Scene.create();
    await scene.find('a/', 'a/b');
    scene.hostWantsNothing();
    await scene.ahead.end();
    await scene.find('c');
    assert.equal(scene.sentBytes, 0);
  });

  test('are none where too many were found before the host was there; the channel ends all the same', async () => {
    await using scene = await Scene.create();
    for (let index = 0; index < 50_000; index++)
      scene.ahead.directory(directoryEntry(`d${index}`) as DirectoryEntry);
    await scene.hostArrives();
    await scene.find('late/', 'late/file');
    await scene.ahead.end();
    await scene.over;
    assert.deepEqual(scene.arrived, []);
  });

  test('have no content twice', async () => {
    await using scene = await Scene.create();
    await scene.hostArrives();
    const [one, two] = ['one', 'two'].map((name) => fileEntry(name, 'same') as FileEntry);
    assert.ok(one !== undefined && two !== undefined);
    await scene.find('a');
    assert.equal(scene.ahead.file(one, Buffer.from('same')), true);
    assert.equal(scene.ahead.file(two, Buffer.from('same')), true);
    await scene.ahead.end();
    await scene.over;
    assert.deepEqual(scene.arrived, ['a 1', 'one 4']);
  });

  test('end without an error when the connection breaks', async () => {
    await using scene = await Scene.create();
    await scene.hostArrives();
    await scene.find('a');
    scene.far.destroy();
    await assert.rejects(scene.over);
    for (let index = 0; index < 3000; index++) await scene.find(`f${index}`.padEnd(200, 'x'));
    await scene.ahead.end();
  });
});
