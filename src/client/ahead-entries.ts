import { AheadEntrySender } from '../protocol/ahead-entry-sender.js';
import { MAX_ENTRY_CONTENT_BYTES } from '../protocol/blob-records.js';
import type { SendChannel } from '../protocol/connection.js';
import { CHANNEL, MAX_SAMPLE } from '../protocol/messages.js';
import { DigestNumbers } from '../store/digest-numbers.js';
import { digestBytes } from '../store/digest.js';
import type { Digest } from '../store/digest.js';
import type { EntriesAhead } from '../sync/ahead-entries.js';
import type { DirectoryEntry, FileEntry } from '../sync/entry.js';
import type { KeptContents } from '../sync/kept-contents.js';
import { createDeferred } from '../util/deferred.js';
import { isConnectionLoss } from './connect.js';
import type { HostConnection } from './connect.js';

/**
 * Where more are found before the host wants them, none is sent ahead. That takes half a second: so long it may be
 * on its way. Of 250,000 files more of them would not fit into 150 MB.
 */
const MAX_WAITING = 20_000;

export interface AheadEntriesOptions {
  /** Resolves when the host has opened the run, to undefined where it is to be sent nothing ahead. */
  readonly host: Promise<HostConnection | undefined>;
  /** Has the contents of what is found before that. */
  readonly kept: KeptContents | undefined;
  readonly onSent: (byteCount: number) => void;
}

interface Way {
  readonly channel: SendChannel;
  readonly sender: AheadEntrySender;
}

/**
 * For one scan. A connection that breaks ends it, and nothing is lost: what the host got is there, and what it
 * did not get is asked for once it has the manifest.
 */
export class AheadEntries implements EntriesAhead {
  readonly #options: AheadEntriesOptions;
  readonly #sent = new DigestNumbers();
  /** What was found before the host wanted it; undefined: nothing more is to be found for it. */
  #waiting: (DirectoryEntry | FileEntry)[] | undefined = [];
  /** Enough for a sample was found, or all there is. */
  readonly #hasSample = createDeferred<undefined>();
  /** Resolves when the host wants entries, to undefined where it does not. */
  readonly #asked: Promise<HostConnection | undefined>;
  /** It wants entries, and has not been sent any. */
  #arrived: HostConnection | undefined;
  #way: Way | undefined;

  constructor(options: AheadEntriesOptions) {
    this.#options = options;
    this.#asked = this.#ask();
    this.#asked.then(
      (host) => {
        this.#arrived = host;
        if (host === undefined) this.#waiting = undefined;
      },
      () => (this.#waiting = undefined),
    );
  }

  directory(entry: DirectoryEntry): void {
    if (this.#way !== undefined) this.#way.sender.addDirectory(entry);
    else this.#wait(entry);
  }

  file(entry: FileEntry, bytes: Buffer): boolean {
    if (entry.size > MAX_ENTRY_CONTENT_BYTES) return false;
    if (this.#way === undefined) {
      this.#wait(entry);
      return false;
    }
    this.#addFile(this.#way, entry, bytes);
    return true;
  }

  room(): Promise<void> | undefined {
    if (this.#way !== undefined)
      return this.#way.sender.hasRoom ? undefined : this.#unlessLost(this.#way.sender.flush());
    if (this.#arrived === undefined || this.#waiting === undefined) return undefined;
    return this.#unlessLost(this.#begin(this.#arrived, this.#waiting));
  }

  async end(): Promise<void> {
    await this.#unlessLost(this.#finish());
    this.#over();
  }

  #wait(entry: DirectoryEntry | FileEntry): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    waiting.push(entry);
    if (waiting.length === MAX_SAMPLE) this.#hasSample.resolve(undefined);
    if (waiting.length === MAX_WAITING) this.#waiting = undefined;
  }

  /** Whether to send it all, or to be asked for what is missing. The scan goes on meanwhile. */
  async #ask(): Promise<HostConnection | undefined> {
    const host = await this.#options.host;
    if (host === undefined) return undefined;
    await this.#hasSample.promise;
    host.send({ type: 'ahead_sample', digests: sampleOf(this.#waiting ?? []) });
    const { isWanted } = await host.inbox.next('ahead_sampled');
    return isWanted ? host : undefined;
  }

  async #begin(
    host: HostConnection,
    waiting: readonly (DirectoryEntry | FileEntry)[],
  ): Promise<void> {
    const channel = host.connection.openSend(CHANNEL.aheadEntries);
    const sender = new AheadEntrySender((piece, options) => {
      this.#options.onSent(piece.length);
      return channel.write(piece, options);
    });
    const way = { channel, sender };
    this.#arrived = undefined;
    for (const entry of waiting) {
      if (entry.kind === 'directory') sender.addDirectory(entry);
      else this.#addFile(way, entry, this.#options.kept?.find(entry.digest));
      if (!sender.hasRoom) await sender.flush();
    }
    this.#waiting = undefined;
    this.#way = way;
  }

  /** The second of two files with one content is made on the host of the first. */
  #addFile({ sender }: Way, entry: FileEntry, bytes: Buffer | undefined): void {
    if (bytes === undefined) return;
    const digest = digestBytes(entry.digest);
    const before = this.#sent.count;
    if (this.#sent.add(digest) === before) sender.addFile(entry, digest, bytes);
  }

  async #finish(): Promise<void> {
    this.#hasSample.resolve(undefined);
    // It may be found only now. It waits for the channel's end, whatever comes before that.
    if (this.#way === undefined) await this.#asked;
    if (this.#arrived !== undefined) await this.#begin(this.#arrived, this.#waiting ?? []);
    await this.#way?.sender.finish();
    this.#way?.channel.end();
  }

  async #unlessLost(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#over();
      if (!isConnectionLoss(error)) throw error;
    }
  }

  #over(): void {
    this.#waiting = undefined;
    this.#arrived = undefined;
    this.#way = undefined;
  }
}

/** Of all parts of what was found: files of one directory are often new together. */
function sampleOf(found: readonly (DirectoryEntry | FileEntry)[]): Digest[] {
  const files = found.filter((entry) => entry.kind === 'file');
  const step = Math.ceil(files.length / MAX_SAMPLE);
  return files.filter((_, index) => index % step === 0).map(({ digest }) => digest);
}
