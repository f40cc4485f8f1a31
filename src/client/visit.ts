/**
 * One connection's part of a run, from the streams on: what comes is asked for in the order in which the
 * host says it, however much of it an earlier connection has heard already.
 */
import { RmtxError, isRmtxError } from '../errors.js';
import type { BlobSink } from '../protocol/blob-receiver.js';
import type { SendChannel } from '../protocol/connection.js';
import { CHANNEL } from '../protocol/messages.js';
import type { HostMessage } from '../protocol/messages.js';
import type { ManifestChange } from '../sync/entry.js';
import type { HostConnection } from './connect.js';
import { fetchBlobs, receiveChanges } from './receive-results.js';
import type { WantedBlob } from './apply/stage.js';
import type { RunStreams } from './streams.js';

export type Attached = Extract<HostMessage, { type: 'run_attached' }>;
export type Exited = Extract<HostMessage, { type: 'exited' }>;
export type ChangeSet = Extract<HostMessage, { type: 'change_set' }>;

export interface Results {
  readonly changeSet: ChangeSet;
  readonly changes: readonly ManifestChange[];
}

export interface VisitOptions {
  readonly host: HostConnection;
  /** Absent for a client that will not stay: the host opens no streams for it. */
  readonly streams: RunStreams | undefined;
  /** What the host said of the run; undefined on the connection that opened it. */
  readonly attached: Attached | undefined;
  /** Called once it is known that the command was started, or could not be. */
  readonly onBegun: () => void;
}

export class Visit {
  readonly host: HostConnection;
  readonly attached: Attached | undefined;
  readonly #options: VisitOptions;
  readonly #output: Promise<void>;
  #started: Promise<Exited | undefined> | undefined;
  #exited: Promise<Exited> | undefined;
  #announced: Promise<ChangeSet> | undefined;
  #hasReceivedChanges = false;
  #requests: SendChannel | undefined;

  constructor(options: VisitOptions) {
    const { host, streams, attached } = options;
    this.#options = options;
    this.host = host;
    this.attached = attached;
    this.#output = streams?.receive(host) ?? Promise.resolve();
    this.#output.catch(() => undefined);
    if (attached?.takesStdin === true) streams?.send(host, attached.stdinOffset);
    else if (attached !== undefined) streams?.endInput();
  }

  /** The run had nothing more to give when this connection came to it. */
  get isOver(): boolean {
    return this.attached?.state === 'done';
  }

  /** Resolves when nothing of a connection that broke is used any more. */
  async left(): Promise<void> {
    await this.#output.catch(() => undefined);
  }

  /** Resolves when the command runs, or with how it ended where it never did. */
  untilStarted(): Promise<Exited | undefined> {
    this.#started ??= this.#awaitStart();
    return this.#started;
  }

  /** Resolves when the command has ended and its whole output is taken. */
  untilExit(): Promise<Exited> {
    this.#exited ??= this.#awaitExit();
    return this.#exited;
  }

  /** What the command changed, as announced. Not for a run that is over. */
  announcement(): Promise<ChangeSet> {
    this.#announced ??= this.#awaitAnnouncement();
    return this.#announced;
  }

  /**
   * What the command changed, exactly as much as was announced. Undefined where nothing waits for us: it
   * changed nothing, or another rmtx has dealt with it.
   */
  async results(): Promise<Results | undefined> {
    if (this.isOver) return undefined;
    const changeSet = await this.announcement();
    this.#hasReceivedChanges = true;
    return { changeSet, changes: await receiveChanges(this.host, changeSet.changes) };
  }

  /** Fetches these blobs of the results, in one round; once a connection at most. */
  async fetch(
    wanted: readonly WantedBlob[],
    sink: BlobSink,
    onPiece: (byteCount: number) => void,
  ): Promise<void> {
    await this.#skipToBlobs();
    await fetchBlobs(this.host, this.#openRequests(), { wanted, sink, onPiece });
  }

  /** Tells the host what became of the results; resolves when it has heard. */
  async settle(type: 'applied' | 'discard'): Promise<void> {
    const { changes } = await this.#skipToBlobs();
    if (changes > 0) this.#openRequests().end();
    this.host.send({ type });
    await this.host.inbox.next('acknowledged');
  }

  async #awaitStart(): Promise<Exited | undefined> {
    const { attached, streams, onBegun } = this.#options;
    if (attached !== undefined && attached.state !== 'preparing') return undefined;
    const first = await this.host.inbox.next('started', 'exited');
    onBegun();
    // An interrupt came first, or there is no such command.
    if (first.type === 'exited') return first;
    if (attached === undefined) streams?.send(this.host, 0);
    return undefined;
  }

  async #awaitExit(): Promise<Exited> {
    try {
      const exited = (await this.untilStarted()) ?? (await this.host.inbox.next('exited'));
      this.#options.streams?.endInput();
      await this.#output;
      return exited;
    } catch (error) {
      // The output of a run that the host has lost is still output: all of it came before the error.
      if (isRmtxError(error) && error.code === 'ERR_RMTX_RUN_LOST') await this.left();
      throw error;
    }
  }

  async #awaitAnnouncement(): Promise<ChangeSet> {
    if (this.isOver)
      throw new RmtxError(
        'ERR_RMTX_RUN_TAKEN_OVER',
        'what the command changed was taken or dropped by another rmtx',
      );
    await this.untilExit();
    return this.host.inbox.next('change_set');
  }

  async #skipToBlobs(): Promise<ChangeSet> {
    const changeSet = await this.announcement();
    if (changeSet.changes > 0 && !this.#hasReceivedChanges) {
      this.#hasReceivedChanges = true;
      this.host.connection.openReceive(CHANNEL.changes).cancel();
    }
    return changeSet;
  }

  #openRequests(): SendChannel {
    this.#requests ??= this.host.connection.openSend(CHANNEL.resultRequests);
    return this.#requests;
  }
}
