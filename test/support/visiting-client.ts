/**
 * A paired client that comes to its runs and leaves them at the very moment that a test wants: `rmtx/1` with
 * the real codecs, without the real client's habit of coming back by itself.
 */
import { randomBytes } from 'node:crypto';
import https from 'node:https';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { BlobReceiver } from '../../src/protocol/blob-receiver.js';
import { encodeClientMessage } from '../../src/protocol/client-message-codec.js';
import type { SendChannel } from '../../src/protocol/connection.js';
import { ALPN_CONTROL, CHANNEL } from '../../src/protocol/messages.js';
import type {
  AttachMode,
  ClientMessage,
  HostMessage,
  RunState,
} from '../../src/protocol/messages.js';
import { ChangeDecoder } from '../../src/sync/change-codec.js';
import type { ManifestChange } from '../../src/sync/entry.js';
import { createDeferred } from '../../src/util/deferred.js';
import type { Deferred } from '../../src/util/deferred.js';
import { LyingClient, LyingRun, randomRunId } from './lying-client.js';
import type { ListeningHost } from './lying-client.js';
import { upload } from './lying-scene.js';
import { file, manifestIdOf, ordered, recordsOfEntries } from './lying-entries.js';
import type { Rig } from './rig.js';

type Start = Extract<ClientMessage, { type: 'start' }>;
type Attached = Extract<HostMessage, { type: 'run_attached' }>;
type Opened = Extract<HostMessage, { type: 'run_opened' }>;

export interface AttachOptions {
  readonly stdoutOffset?: number;
  readonly stderrOffset?: number;
  readonly tail?: boolean;
}

/** What came of one output. */
export class Received {
  readonly #pieces: Buffer[] = [];
  length = 0;
  #arrival: Deferred<undefined> = createDeferred();
  /** Resolves with all of it at its end; rejects where it was cut. */
  readonly whole: Promise<Buffer>;

  constructor(run: LyingRun, channel: number) {
    const read = run.connection.openReceive(channel).onData((piece) => {
      this.#pieces.push(Buffer.from(piece));
      this.length += piece.length;
      this.#arrival.resolve(undefined);
      this.#arrival = createDeferred();
    });
    this.whole = read.then(() => this.bytes);
    this.whole.catch(() => undefined);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  /** Resolves when so much is there; rejects where it ends or is cut before. */
  async has(wanted: number | RegExp): Promise<void> {
    const isThere = (): boolean =>
      typeof wanted === 'number' ? this.length >= wanted : wanted.test(this.bytes.toString());
    while (!isThere()) {
      const isOver = await Promise.race([
        this.#arrival.promise.then(() => false),
        this.whole.then(() => true),
      ]);
      if (isOver && !isThere())
        throw new Error(`ended after ${this.length} bytes: ${String(this.bytes)}`);
    }
  }
}

/** One connection to a run that has begun. */
export class Visit {
  readonly run: LyingRun;
  readonly stdout: Received;
  readonly stderr: Received;
  #stdin: SendChannel | undefined;

  constructor(run: LyingRun) {
    this.run = run;
    this.stdout = new Received(run, CHANNEL.stdout);
    this.stderr = new Received(run, CHANNEL.stderr);
  }

  get stdin(): SendChannel {
    this.#stdin ??= this.run.connection.openSend(CHANNEL.stdin);
    return this.#stdin;
  }

  /** The connection breaks, and whatever was on its way is lost. */
  async cut(): Promise<void> {
    this.run.socket.destroy();
    await this.run.connection.closed;
  }

  /** How the command ended, once all of its output is here. */
  async exited(): Promise<Extract<HostMessage, { type: 'exited' }>> {
    const exited = await this.run.exited();
    await Promise.all([this.stdout.whole, this.stderr.whole]);
    return exited;
  }

  /** The change set with the contents of all its files, by path; a deletion is undefined. */
  async result(): Promise<Map<string, string | undefined>> {
    const { changes } = await this.run.next('change_set');
    const contents = new Map<string, string | undefined>();
    if (changes === 0) return contents;
    const decoder = new ChangeDecoder();
    const list: ManifestChange[] = decoder.push(await this.run.read(CHANNEL.changes));
    const blobs = await this.#fetch(list);
    for (const change of list)
      if (change.type === 'delete') contents.set(change.path, undefined);
      else if (change.entry.kind === 'file')
        contents.set(change.entry.path, blobs.get(change.entry.digest) ?? 'MISSING');
      else contents.set(change.entry.path, change.entry.kind);
    return contents;
  }

  async settle(answer: 'applied' | 'discard' = 'applied'): Promise<void> {
    this.run.say({ type: answer });
    await this.run.next('acknowledged');
    await this.run.connection.close();
  }

  async #fetch(changes: readonly ManifestChange[]): Promise<Map<string, string>> {
    const { connection } = this.run;
    const blobs = new Map<string, string>();
    const requests = connection.openSend(CHANNEL.resultRequests);
    using receiver = new BlobReceiver({
      basis: () => undefined,
      small: (digest, bytes) => void blobs.set(digest, Buffer.from(bytes).toString()),
      createLarge: () => {
        throw new Error('no large files in these tests');
      },
      large: () => undefined,
      unfinished: () => undefined,
      gone: (digest) => void blobs.set(digest, 'GONE'),
    });
    for (const change of changes)
      if (change.type === 'upsert' && change.entry.kind === 'file')
        receiver.want(change.entry.digest, change.entry.size);
    receiver.endRound();
    const ask = (): void => {
      const bytes = receiver.takeRequests();
      if (bytes !== undefined) void requests.write(bytes);
      if (receiver.isRoundOver) requests.end();
    };
    ask();
    await connection.openReceive(CHANNEL.resultBlobs).onData((piece) => {
      receiver.push(piece);
      while (receiver.work());
      ask();
    });
    return blobs;
  }
}

/** One project of one client, so all of its runs are of one context. */
export class VisitingClient {
  readonly client: LyingClient;
  readonly contextKey = randomBytes(16).toString('hex');
  host: ListeningHost;

  constructor(rig: Rig, host: ListeningHost) {
    this.client = LyingClient.paired(rig, host);
    this.host = host;
  }

  /** The same client, for a host that was started anew. */
  async connect(): Promise<LyingRun> {
    return new LyingRun(await this.client.dial(undefined, { port: this.host.port }));
  }

  /** Up to where the host has every file. */
  async upload(
    files: Readonly<Record<string, string>> = {},
    id: string = randomRunId(),
  ): Promise<{ readonly run: LyingRun; readonly id: string; readonly opened: Opened }> {
    const run = await this.connect();
    run.hello();
    await run.next('welcome');
    const { contextKey } = this;
    const open = {
      type: 'run_open',
      runId: id,
      contextKey,
      contextName: 'p',
      label: '',
      offersEntriesAhead: false,
    } as const;
    run.sayRaw(encodeClientMessage(open));
    const opened = await run.next('run_opened');
    run.sendRules();
    const entries = ordered(Object.entries(files).map(([name, text]) => file(name, text)));
    run.sendManifest(recordsOfEntries(entries), { id: manifestIdOf(entries) });
    await upload(run, ...Object.values(files));
    return { run, id, opened };
  }

  /** A command that has started. */
  async start(
    command: readonly string[],
    options: Partial<Start> & { readonly files?: Readonly<Record<string, string>> } = {},
  ): Promise<Visit & { readonly id: string; readonly opened: Opened }> {
    const { files, ...start } = options;
    const { run, id, opened } = await this.upload(files);
    const visit = new Visit(run);
    run.start(command, start);
    await run.next('started');
    return Object.assign(visit, { id, opened });
  }

  sh(
    script: string,
    options: Parameters<VisitingClient['start']>[1] = {},
  ): ReturnType<VisitingClient['start']> {
    return this.start(['sh', '-c', script], options);
  }

  /** Rejects with the host's error where it has no such run. */
  async attach(
    id: string,
    mode: AttachMode,
    options: AttachOptions = {},
  ): Promise<Visit & { readonly attached: Attached }> {
    const run = await this.connect();
    run.hello();
    const { stdoutOffset = 0, stderrOffset = 0, tail = true } = options;
    run.say({ type: 'run_attach', runId: id, mode, stdoutOffset, stderrOffset, tail });
    await run.next('welcome');
    const visit = new Visit(run);
    const attached = await run.next('run_attached');
    return Object.assign(visit, { attached });
  }

  /** After an outage: from where these streams have come. */
  resume(
    id: string,
    had: { readonly stdout: number; readonly stderr?: number },
  ): ReturnType<VisitingClient['attach']> {
    return this.attach(id, 'resume', { stdoutOffset: had.stdout, stderrOffset: had.stderr ?? 0 });
  }

  /** One question to the control API; the answer's body. */
  async ask(route: string, body?: object): Promise<Record<string, unknown>> {
    const [method = '', path = ''] = route.split(' ');
    const socket: Duplex = await this.client.dial(ALPN_CONTROL, { port: this.host.port });
    return new Promise((resolve, reject) => {
      const request = https.request(
        { method, path, host: 'x', createConnection: () => socket },
        (response) => {
          const parts: Buffer[] = [];
          response.on('data', (part: Buffer) => parts.push(part));
          response.on('end', () => {
            socket.destroy();
            resolve(JSON.parse(Buffer.concat(parts).toString()) as Record<string, unknown>);
          });
        },
      );
      request.on('error', reject);
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  async runs(): Promise<readonly ListedRun[]> {
    return (await this.ask('GET /v1/runs'))['runs'] as readonly ListedRun[];
  }

  async listed(id: string): Promise<ListedRun | undefined> {
    return (await this.runs()).find((run) => run.id === id);
  }

  /** Resolves when the run is in this state. */
  async until(id: string, state: RunState): Promise<ListedRun> {
    for (;;) {
      const run = await this.listed(id);
      if (run?.state === state) return run;
      await delay(20);
    }
  }
}

/** What the control API says of a run. */
export interface ListedRun {
  readonly id: string;
  readonly state: RunState;
  readonly command: readonly string[];
  readonly context: string;
  readonly exit_code: number | null;
  readonly ended_at: string | null;
  readonly outcome: { readonly kind: string } | null;
  readonly changes: number;
  readonly reason: string | null;
}
