/**
 * A client that says whatever a test wants to a real host: an identity that the host trusts (or not), and
 * `rmtx/1` with the real codecs as long as the test lets it. Each step of an honest run is a method.
 */
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import tls from 'node:tls';
import type { TLSSocket } from 'node:tls';
import type { RmtxError } from '../../src/errors.js';
import { isRmtxError } from '../../src/errors.js';
import { encodeDataHead } from '../../src/protocol/blob-records.js';
import type { BlobDataHead } from '../../src/protocol/blob-records.js';
import { BlobRequestDecoder } from '../../src/protocol/blob-requests.js';
import { encodeClientMessage } from '../../src/protocol/client-message-codec.js';
import { PeerConnection } from '../../src/protocol/connection.js';
import type { SendChannel } from '../../src/protocol/connection.js';
import { parseHostMessage } from '../../src/protocol/host-message-codec.js';
import { Inbox } from '../../src/protocol/inbox.js';
import { ALPN_RUN, CHANNEL, roundChannels } from '../../src/protocol/messages.js';
import type { ClientMessage, HostMessage } from '../../src/protocol/messages.js';
import { hashBytes, toDigest } from '../../src/store/digest.js';
import { encodeRuleSources } from '../../src/sync/rule-sources.js';
import { comparePaths } from '../../src/sync/entry.js';
import type { Entry, ManifestId } from '../../src/sync/entry.js';
import { fingerprintId } from '../../src/trust/fingerprint.js';
import { loadOrCreateIdentity } from '../../src/trust/identity.js';
import type { Identity } from '../../src/trust/identity.js';
import { ByteWriter } from '../../src/util/bytes.js';
import { answersOf } from './blob-answers.js';
import type { AnswerBlob } from './blob-answers.js';
import { manifestIdOf, recordsOfEntries } from './lying-entries.js';
import { trustClient } from './paired-state.js';
import type { Rig } from './rig.js';

type Start = Extract<ClientMessage, { type: 'start' }>;
type Opened = Extract<HostMessage, { type: 'run_opened' }>;

/** Rules of a project in which everything takes part. */
export const EVERYTHING = encodeRuleSources({
  mounts: [{ path: '.', exclude: [] }],
  ignore: ['.git/'],
  syncBack: null,
  keepOnHost: [],
  gitignore: null,
  isCaseInsensitive: false,
});

/** As much of a host as a client has to do with: where it listens, and where it keeps whom it trusts. */
export interface ListeningHost {
  readonly port: number;
  readonly stateDirectory: string;
}

export function recordOf(head: BlobDataHead, body: Uint8Array = Buffer.alloc(0)): Buffer {
  const writer = new ByteWriter();
  encodeDataHead(writer, head);
  return Buffer.concat([writer.view(), body]);
}

export class LyingClient {
  readonly host: ListeningHost;
  readonly identity: Identity;
  /** Made once: a flood of connections must not cost the test more than the host. */
  readonly #keys: tls.SecureContext;

  private constructor(host: ListeningHost, identity: Identity) {
    this.host = host;
    this.identity = identity;
    this.#keys = tls.createSecureContext({ key: identity.keyPem, cert: identity.certPem, ca: [] });
  }

  /** Nobody the host knows. */
  static stranger(rig: Rig, host: ListeningHost): LyingClient {
    const directory = path.join(rig.newDirectory('stranger'), 'identity');
    return new LyingClient(host, loadOrCreateIdentity(directory));
  }

  /** As pairing leaves it: the host asks its trust store on every connection. */
  static paired(rig: Rig, host: ListeningHost): LyingClient {
    const client = LyingClient.stranger(rig, host);
    trustClient(host.stateDirectory, client.identity);
    return client;
  }

  /** What the host files things under. */
  get id(): string {
    return fingerprintId(this.identity.fingerprint);
  }

  /** A TLS connection, nothing said yet. */
  dial(alpn: string = ALPN_RUN, options: tls.ConnectionOptions = {}): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const socket = tls.connect({
        host: '127.0.0.1',
        port: this.host.port,
        secureContext: this.#keys,
        rejectUnauthorized: false,
        ALPNProtocols: [alpn],
        ...options,
      });
      socket.once('error', reject);
      socket.once('secureConnect', () => {
        socket.off('error', reject);
        socket.on('error', () => undefined);
        resolve(socket);
      });
    });
  }

  async connect(): Promise<LyingRun> {
    return new LyingRun(await this.dial());
  }

  /** A whole honest run of a command; resolves with what it printed. */
  async exec(
    command: readonly string[],
    files: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const run = await this.connect();
    await run.untilStarted(command, files);
    const printed = run.read(CHANNEL.stdout);
    const silent = run.read(CHANNEL.stderr);
    await run.next('exited');
    await silent;
    const { changes } = await run.next('change_set');
    if (changes > 0) {
      await run.read(CHANNEL.changes);
      run.connection.openSend(CHANNEL.resultRequests).end();
    }
    run.say({ type: 'discard' });
    await run.next('acknowledged');
    await run.connection.close();
    return (await printed).toString();
  }
}

/** One connection of ALPN `rmtx/1`. */
export class LyingRun {
  readonly connection: PeerConnection;
  readonly socket: TLSSocket;
  readonly #inbox: Inbox<HostMessage>;
  /** Every error and refusal that the host told. */
  readonly #told: RmtxError[] = [];
  /** Every notice that the host gave, as `code: message`. */
  readonly notices: string[] = [];
  readonly id = randomRunId();

  constructor(socket: TLSSocket) {
    this.socket = socket;
    this.connection = new PeerConnection(socket, { maxMessageBytes: 64 * 1024 * 1024 });
    this.#inbox = new Inbox<HostMessage>(this.connection, {
      peer: 'host',
      parse: parseHostMessage,
      aside: (message) => {
        if (message.type === 'notice') {
          this.notices.push(`${message.code}: ${message.message}`);
          return true;
        }
        if (message.type !== 'error' && message.type !== 'refused') return false;
        this.#told.push(message.error);
        throw message.error;
      },
    });
  }

  say(message: ClientMessage): void {
    this.connection.send(encodeClientMessage(message));
  }

  sayRaw(message: object): void {
    this.connection.send(message);
  }

  next<T extends HostMessage['type']>(type: T): Promise<Extract<HostMessage, { type: T }>> {
    return this.#inbox.next(type);
  }

  /** The end of the command, whether it was said to have started or not. */
  async exited(): Promise<Extract<HostMessage, { type: 'exited' }>> {
    const first = await this.#inbox.next('started', 'exited');
    return first.type === 'exited' ? first : this.#inbox.next('exited');
  }

  /** The code of the error with which the host ends this; 'closed' where it tells none. */
  async ending(): Promise<string> {
    const end = await this.connection.closed;
    const told = this.#told[0];
    if (told !== undefined) return told.code;
    return isRmtxError(end.error) && end.reason === 'protocol-error' ? end.error.code : 'closed';
  }

  hello(): void {
    this.say({ type: 'hello', protocolMin: 1, protocolMax: 1, version: '0.1.0' });
  }

  /** Greets and opens a run in a context of its own. */
  async open(lies: object = {}): Promise<Opened> {
    this.hello();
    await this.next('welcome');
    const open = {
      type: 'run_open',
      runId: this.id,
      contextKey: randomBytes(16).toString('hex'),
      contextName: 'lies',
      label: '',
      offersEntriesAhead: false,
    } as const;
    this.sayRaw({ ...encodeClientMessage(open), ...lies });
    return this.next('run_opened');
  }

  /** Sends the rules, all at once. */
  sendRules(rules: Uint8Array = EVERYTHING): void {
    const channel = this.connection.openSend(CHANNEL.rules);
    void channel.write(rules).catch(() => undefined);
    channel.end();
  }

  /** Announces a manifest and sends these records as it. */
  sendManifest(
    records: Uint8Array,
    announced: { readonly id: ManifestId; readonly round?: number; readonly base?: ManifestId },
  ): SendChannel {
    const { id, round = 0, base = null } = announced;
    this.say({ type: 'manifest', round, base, manifestId: id, hasRules: round === 0 });
    const channel = this.connection.openSend(roundChannels(round).manifest);
    void channel.write(records).catch(() => undefined);
    channel.end();
    return channel;
  }

  /** An honest manifest with these entries. */
  sendEntries(entries: readonly Entry[]): void {
    this.sendManifest(recordsOfEntries(entries), { id: manifestIdOf(entries) });
  }

  /** Answers what the host asks for until it has asked for everything. */
  async serveBlobs(answer: AnswerBlob, round = 0): Promise<void> {
    const { requests, blobs } = roundChannels(round);
    const channel = this.connection.openSend(blobs);
    const decoder = new BlobRequestDecoder();
    for await (const piece of this.connection.openReceive(requests))
      for (const request of decoder.push(piece))
        answer(
          request,
          (head, body) => void channel.write(recordOf(head, body)).catch(() => undefined),
        );
    channel.end();
  }

  /** Everything up to where the host has all files; honest. */
  async untilUploaded(files: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.open();
    this.sendRules();
    const entries = Object.entries(files).map(([name, text]): Entry => {
      const bytes = Buffer.from(text);
      return {
        kind: 'file',
        path: name as Entry['path'],
        mode: 0o644,
        size: bytes.length,
        mtimeUs: 1,
        digest: toDigest(hashBytes(bytes)),
      };
    });
    this.sendEntries(entries.sort((a, b) => comparePaths(a.path, b.path)));
    const wanted = await this.next('blobs_wanted');
    if (wanted.files > 0) await this.serveBlobs(answersOf(Object.values(files)));
  }

  start(command: readonly string[], lies: Partial<Start> = {}): void {
    this.say({
      type: 'start',
      command,
      cwd: '',
      env: new Map(),
      hasStdin: false,
      timeoutMs: undefined,
      wantsSyncBack: true,
      clockOffsetUs: 0,
      terminal: undefined,
      isDetached: false,
      disconnectGraceMs: undefined,
      ...lies,
    });
  }

  async untilStarted(
    command: readonly string[],
    files: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    await this.untilUploaded(files);
    this.start(command);
    await this.next('started');
  }

  /** All of a channel. */
  async read(channel: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for await (const piece of this.connection.openReceive(channel)) pieces.push(Buffer.from(piece));
    return Buffer.concat(pieces);
  }
}

export function randomRunId(): string {
  return `r${randomBytes(8).toString('hex')}`;
}
