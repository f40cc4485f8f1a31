import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AheadEntries } from '../../../src/client/ahead-entries.js';
import type { HostConnection } from '../../../src/client/connect.js';
import { AheadEntryReceiver } from '../../../src/protocol/ahead-entry-receiver.js';
import { PeerConnection } from '../../../src/protocol/connection.js';
import {
  encodeClientMessage,
  parseClientMessage,
} from '../../../src/protocol/client-message-codec.js';
import { encodeHostMessage, parseHostMessage } from '../../../src/protocol/host-message-codec.js';
import { Inbox } from '../../../src/protocol/inbox.js';
import { CHANNEL, MAX_SAMPLE } from '../../../src/protocol/messages.js';
import type { DirectoryEntry, FileEntry } from '../../../src/sync/entry.js';
import { KeptContents } from '../../../src/sync/kept-contents.js';
import { createDeferred } from '../../../src/util/deferred.js';
import { directoryEntry, fileEntry } from '../../support/entries.js';
import { socketPair } from '../../support/socket-pair.js';

/** A host that is asked, once it is there, whether it wants entries, and what arrives at it. */
class Scene implements AsyncDisposable {
  readonly kept = new KeptContents();
  readonly #host = createDeferred<HostConnection | undefined>();
  readonly ahead = new AheadEntries({
    host: this.#host.promise,
    kept: this.kept,
    onSent: (bytes) => (this.sentBytes += bytes),
  });
  readonly #answered = createDeferred<undefined>();
  readonly arrived: string[] = [];
  /** Of how many files it was asked. */
  sampled = 0;
  isWanted = true;
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
    const asked = new Inbox(far, { parse: parseClientMessage, aside: () => false, peer: 'client' });
    asked.next('ahead_sample').then(
      ({ digests }) => {
        this.sampled = digests.length;
        far.send(encodeHostMessage({ type: 'ahead_sampled', isWanted: this.isWanted }));
      },
      () => undefined,
    );
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

  hostArrives(): void {
    const connection = this.#near;
    const aside = (): boolean => {
      setImmediate(() => this.#answered.resolve(undefined));
      return false;
    };
    this.#host.resolve({
      connection,
      inbox: new Inbox(connection, { parse: parseHostMessage, aside, peer: 'host' }),
      send: (message) => connection.send(encodeClientMessage(message)),
    } as HostConnection);
  }

  /** Finds as many files as it takes to ask, and waits for the answer. */
  async findSample(): Promise<void> {
    for (let index = 0; index < MAX_SAMPLE; index++) await this.find(`f${1000 + index}`);
    await this.#answered.promise;
  }

  hostTakesNothing(): void {
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
    scene.hostArrives();
    await scene.findSample();
    assert.equal(scene.sentBytes, 0);
    await scene.find('g/', 'g/d', 'h');
    await scene.ahead.end();
    await scene.over;
    assert.equal(scene.sampled, MAX_SAMPLE - 1);
    assert.deepEqual(scene.arrived.slice(0, 4), ['a/', 'a/b 3', 'f1000 5', 'f1001 5']);
    assert.deepEqual(scene.arrived.slice(-4), ['f1255 5', 'g/', 'g/d 3', 'h 1']);
    assert.ok(scene.sentBytes > 0);
  });

  test('go up also where the scan is over before the host is there', async () => {
    await using scene = await Scene.create();
    await scene.find('a/', 'a/b');
    const ended = scene.ahead.end();
    scene.hostArrives();
    await ended;
    await scene.over;
    assert.equal(scene.sampled, 1);
    assert.deepEqual(scene.arrived, ['a/', 'a/b 3']);
  });

  test('are sampled all over, where many were found before the host was there', async () => {
    await using scene = await Scene.create();
    for (let index = 0; index < 3 * MAX_SAMPLE - 1; index++) await scene.find(`f${1000 + index}`);
    scene.hostArrives();
    await scene.ahead.end();
    assert.equal(scene.sampled, MAX_SAMPLE);
  });

  test('are none where the host has them', async () => {
    await using scene = await Scene.create();
    scene.isWanted = false;
    await scene.find('a/', 'a/b');
    scene.hostArrives();
    await scene.findSample();
    await scene.find('g/');
    await scene.ahead.end();
    assert.equal(scene.sentBytes, 0);
  });

  test('are none where the host takes none', async () => {
    await using scene = await Scene.create();
    await scene.find('a/', 'a/b');
    scene.hostTakesNothing();
    await scene.ahead.end();
    await scene.find('c');
    assert.equal(scene.sentBytes, 0);
  });

  test('are none where too many were found before the host was there; it is asked all the same', async () => {
    await using scene = await Scene.create();
    scene.isWanted = false;
    for (let index = 0; index < 20_000; index++)
      scene.ahead.directory(directoryEntry(`d${index}`) as DirectoryEntry);
    scene.hostArrives();
    await scene.find('late/', 'late/file');
    await scene.ahead.end();
    assert.equal(scene.sampled, 0);
    assert.equal(scene.sentBytes, 0);
  });

  test('have no content twice', async () => {
    await using scene = await Scene.create();
    scene.hostArrives();
    const [one, two] = ['one', 'two'].map((name) => fileEntry(name, 'same') as FileEntry);
    assert.ok(one !== undefined && two !== undefined);
    await scene.findSample();
    await scene.find('g');
    assert.equal(scene.ahead.file(one, Buffer.from('same')), true);
    assert.equal(scene.ahead.file(two, Buffer.from('same')), true);
    await scene.ahead.end();
    await scene.over;
    assert.deepEqual(scene.arrived.slice(-2), ['g 1', 'one 4']);
  });

  test('end without an error when the connection breaks', async () => {
    await using scene = await Scene.create();
    scene.hostArrives();
    await scene.findSample();
    await scene.find('g');
    scene.far.destroy();
    await assert.rejects(scene.over);
    for (let index = 0; index < 3000; index++)
      await scene.find(`g${1000 + index}`.padEnd(200, 'x'));
    await scene.ahead.end();
  });

  test('end without an error when the connection breaks before the answer', async () => {
    await using scene = await Scene.create();
    await scene.find('a');
    scene.hostArrives();
    scene.far.destroy();
    await scene.ahead.end();
  });
});
