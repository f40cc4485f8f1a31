/**
 * A host that says whatever a test wants: a TLS server with an identity that clients have pinned, which
 * speaks `rmtx/1` with the real codecs as long as the test lets it. Each step of an honest visit is a
 * method, so that a test is honest up to its lie.
 */
import { constants } from 'node:crypto';
import type { AddressInfo, Socket } from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { hostsDirectory, identityDirectory } from '../../src/client/home.js';
import { encodeDataHead } from '../../src/protocol/blob-records.js';
import type { BlobDataHead } from '../../src/protocol/blob-records.js';
import { BlobRequestDecoder, encodeRequest } from '../../src/protocol/blob-requests.js';
import type { BlobRequest } from '../../src/protocol/blob-requests.js';
import { parseClientMessage } from '../../src/protocol/client-message-codec.js';
import { PeerConnection } from '../../src/protocol/connection.js';
import { encodeHostMessage } from '../../src/protocol/host-message-codec.js';
import { Inbox } from '../../src/protocol/inbox.js';
import {
  ALPN_CONTROL,
  ALPN_PAIRING,
  ALPN_RUN,
  CHANNEL,
  roundChannels,
} from '../../src/protocol/messages.js';
import type { ClientMessage, CommandOutcome, HostMessage } from '../../src/protocol/messages.js';
import { ChangeDecoder, encodeChange } from '../../src/sync/change-codec.js';
import { EntryTable } from '../../src/sync/entry-table.js';
import type { ManifestChange, ManifestId } from '../../src/sync/entry.js';
import { TableMerger } from '../../src/sync/table-changes.js';
import { fingerprintOfCertificate } from '../../src/trust/fingerprint.js';
import { loadOrCreateIdentity } from '../../src/trust/identity.js';
import { saveKnownHost } from '../../src/trust/known-hosts.js';
import { ByteWriter } from '../../src/util/bytes.js';
import { answersOf } from './blob-answers.js';
import type { AnswerBlob } from './blob-answers.js';
import type { Rig, RigClient, RigHost, RigProject, Tree } from './rig.js';

/** What the host does with one connection. What it throws is kept for the test to see. */
type Script = (visit: LyingVisit) => Promise<void>;
/** For what is not `rmtx/1`: the bare socket. */
type SocketScript = (socket: TLSSocket) => void;

type RunOpened = Extract<HostMessage, { type: 'run_opened' }>;
type ChangeSet = Extract<HostMessage, { type: 'change_set' }>;
type Start = Extract<ClientMessage, { type: 'start' }>;

/** The longest that a timer of Node can be. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class LyingHost implements AsyncDisposable {
  readonly #rig: Rig;
  readonly #server: tls.Server;
  readonly #sockets = new Set<Socket>();
  readonly fingerprint;
  #script: Script = () => Promise.resolve();
  #control: SocketScript = (socket) => socket.destroy();
  /** By the client's fingerprint, before the script for everybody. */
  readonly #scripts = new Map<string, Script>();
  readonly #heartbeatIntervalMs: number;

  private constructor(rig: Rig, heartbeatIntervalMs: number) {
    this.#rig = rig;
    this.#heartbeatIntervalMs = heartbeatIntervalMs;
    const identity = loadOrCreateIdentity(path.join(rig.newDirectory('lying-host'), 'identity'));
    this.fingerprint = identity.fingerprint;
    this.#server = tls.createServer(
      {
        key: identity.keyPem,
        cert: identity.certPem,
        minVersion: 'TLSv1.3',
        requestCert: true,
        rejectUnauthorized: false,
        ALPNProtocols: [ALPN_RUN, ALPN_CONTROL, ALPN_PAIRING],
        secureOptions: constants.SSL_OP_NO_TICKET,
      },
      (socket) => this.#serve(socket),
    );
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('tlsClientError', () => undefined);
  }

  /** Without heartbeats it gives no sign of life of its own. */
  static async start(
    rig: Rig,
    options: { readonly hasHeartbeats: boolean } = { hasHeartbeats: true },
  ): Promise<LyingHost> {
    const host = new LyingHost(rig, options.hasHeartbeats ? 5000 : MAX_TIMER_MS);
    await new Promise<void>((resolve) => host.#server.listen(0, '127.0.0.1', resolve));
    return host;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** A client that has paired with this host, and a project of it that names the host. */
  project(files: Tree = {}, config: object = {}): RigProject {
    const client = this.#rig.client();
    this.befriend(client);
    // A project asks its host for nothing but the address.
    return client.project(files, { config, host: this as unknown as RigHost });
  }

  /** What pairing leaves at the client. */
  befriend(client: RigClient): void {
    const home = { directory: path.join(client.home, '.rmtx') };
    loadOrCreateIdentity(identityDirectory(home));
    saveKnownHost(hostsDirectory(home), {
      fingerprint: this.fingerprint,
      hostName: 'liar',
      address: this.address,
    });
  }

  /** What to do with each connection from now on. */
  serve(script: Script): void {
    this.#script = script;
  }

  /** What to do with the connections of this project's client, for tests with several at once. */
  serveClientOf(project: RigProject, script: Script): void {
    const home = { directory: path.join(project.client.home, '.rmtx') };
    const { fingerprint } = loadOrCreateIdentity(identityDirectory(home));
    this.#scripts.set(fingerprint, script);
  }

  /** What to do with each connection of the control API. */
  serveControl(script: SocketScript): void {
    this.#control = script;
  }

  #serve(socket: TLSSocket): void {
    socket.on('error', () => socket.destroy());
    if (socket.alpnProtocol !== ALPN_RUN) {
      this.#control(socket);
      return;
    }
    const connection = new PeerConnection(socket, {
      heartbeatIntervalMs: this.#heartbeatIntervalMs,
    });
    const client = fingerprintOfCertificate(socket.getPeerX509Certificate());
    const script = this.#scripts.get(client ?? '') ?? this.#script;
    // It ends with the connection at the latest: what it then waits for never comes.
    script(new LyingVisit(connection, socket)).catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** One connection of a client. */
export class LyingVisit {
  readonly connection: PeerConnection;
  readonly socket: TLSSocket;
  readonly #inbox: Inbox<ClientMessage>;
  #start: Start | undefined;
  /** The manifest that the client sent last. */
  table = EntryTable.empty;

  constructor(connection: PeerConnection, socket: TLSSocket) {
    this.connection = connection;
    this.socket = socket;
    this.#inbox = new Inbox<ClientMessage>(connection, {
      peer: 'client',
      parse: parseClientMessage,
      aside: (message) => {
        // Nothing is taken ahead of the manifest.
        if (message.type === 'ahead') this.say({ type: 'ahead_wanted', indexes: [] });
        return message.type === 'stop' || message.type === 'ahead';
      },
    });
  }

  say(message: HostMessage): void {
    this.connection.send(encodeHostMessage(message));
  }

  /** Whatever is no message of ours. */
  sayRaw(message: object): void {
    this.connection.send(message);
  }

  expect<T extends ClientMessage['type']>(type: T): Promise<Extract<ClientMessage, { type: T }>> {
    return this.#inbox.next(type);
  }

  /** Nothing follows but heartbeats, until the client gives up. */
  async fallSilent(): Promise<void> {
    await this.connection.closed;
  }

  /** Answers the greeting. */
  async greet(lies: object = {}): Promise<void> {
    await this.expect('hello');
    const welcome = {
      type: 'welcome',
      protocol: 1,
      version: '0.1.0',
      name: 'liar',
      hardwareAddresses: [],
    } as const;
    this.sayRaw({ ...encodeHostMessage({ ...welcome, nowUs: Date.now() * 1000 }), ...lies });
  }

  /** Opens the run, without a base unless told otherwise. */
  async open(lies: object = {}): Promise<void> {
    await this.expect('run_open');
    const opened: RunOpened = {
      type: 'run_opened',
      workspace: '/liar/workspace',
      slot: 0,
      isCold: true,
      base: null,
      takesEntriesAhead: false,
      waiting: [],
    };
    this.sayRaw({ ...encodeHostMessage(opened), ...lies });
  }

  /** Takes rules and the manifest of a round. */
  async takeManifest(round = 0): Promise<void> {
    if (round === 0)
      for await (const _piece of this.connection.openReceive(CHANNEL.rules)) continue;
    const { base } = await this.expect('manifest');
    const decoder = new ChangeDecoder();
    const merger = new TableMerger(base === null ? EntryTable.empty : this.table);
    for await (const piece of this.connection.openReceive(roundChannels(round).manifest))
      for (const change of decoder.push(piece)) merger.push(change);
    this.table = merger.finish();
  }

  wantNothing(round = 0): void {
    this.say({ type: 'blobs_wanted', round, files: 0, bytes: 0 });
  }

  /** Asks for blobs of the project; returns how many bytes came in answer, once the client is done. */
  async ask(requests: Uint8Array, lies: { readonly files?: number } = {}): Promise<number> {
    const { requests: requestChannel, blobs } = roundChannels(0);
    this.say({ type: 'blobs_wanted', round: 0, files: lies.files ?? 1, bytes: 1 });
    const sender = this.connection.openSend(requestChannel);
    const receiver = this.connection.openReceive(blobs, { windowBytes: 4 * 1024 * 1024 });
    void sender.write(requests).then(
      () => sender.end(),
      () => undefined,
    );
    let bytes = 0;
    for await (const piece of receiver) bytes += piece.length;
    return bytes;
  }

  /** Everything up to where the client waits for the command to start. */
  async untilUploaded(): Promise<void> {
    await this.greet();
    await this.open();
    await this.takeManifest();
    this.wantNothing();
  }

  async start(): Promise<Start> {
    this.#start ??= await this.expect('start');
    this.say({ type: 'started' });
    return this.#start;
  }

  /** Both output streams, whole. */
  async print(output: { readonly stdout?: string; readonly stderr?: string } = {}): Promise<void> {
    for (const stream of ['stdout', 'stderr'] as const) {
      const channel = this.connection.openSend(CHANNEL[stream]);
      await channel.write(Buffer.from(output[stream] ?? ''));
      channel.end();
    }
  }

  exit(outcome: CommandOutcome = { kind: 'exited', code: 0 }, lies: object = {}): void {
    const exited = {
      type: 'exited',
      durationMs: 1,
      sweptProcesses: 0,
      isOutputCut: false,
    } as const;
    this.sayRaw({ ...encodeHostMessage({ ...exited, outcome }), ...lies });
  }

  /** Everything up to where the client waits for the change set. */
  async untilExited(outcome?: CommandOutcome): Promise<void> {
    await this.untilUploaded();
    await this.start();
    await this.print();
    this.exit(outcome);
  }

  /** Announces the change set; the true count of changes unless told otherwise. */
  announce(count: number, lies: object = {}): void {
    const changeSet: ChangeSet = {
      type: 'change_set',
      manifestId: `manifest:${'0'.repeat(64)}` as ManifestId,
      changes: count,
      bytes: 0,
      ignored: undefined,
      problems: [],
    };
    this.sayRaw({ ...encodeHostMessage(changeSet), ...lies });
  }

  async sendRecords(records: Uint8Array): Promise<void> {
    const channel = this.connection.openSend(CHANNEL.changes);
    await channel.write(records);
    channel.end();
  }

  /** Change set, blobs and acknowledgement of an honest end, with dishonest changes. */
  async offer(changes: readonly ManifestChange[], contents: readonly string[] = []): Promise<void> {
    this.announce(changes.length);
    if (changes.length > 0) {
      await this.sendRecords(recordsOf(changes));
      await this.serveBlobs(contents);
    }
    await this.#inbox.next('applied', 'discard');
    this.say({ type: 'acknowledged' });
    await this.connection.closed;
  }

  /** Answers each request as `answer` says, until the client asks for nothing more. */
  async answerRequests(answer: AnswerBlob): Promise<void> {
    const blobs = this.connection.openSend(CHANNEL.resultBlobs);
    const decoder = new BlobRequestDecoder();
    for await (const piece of this.connection.openReceive(CHANNEL.resultRequests))
      for (const request of decoder.push(piece))
        answer(request, (head, body) => void blobs.write(blobRecord(head, body)));
    blobs.end();
  }

  /** Serves these contents, small ones, and says of the others that they are gone. */
  serveBlobs(contents: readonly string[]): Promise<void> {
    return this.answerRequests(answersOf(contents));
  }
}

/** Change records; nothing is checked, neither paths nor order. */
export function recordsOf(changes: Iterable<ManifestChange>): Buffer {
  const writer = new ByteWriter();
  for (const change of changes) encodeChange(writer, change);
  return Buffer.from(writer.view());
}

/** A data record as it goes over the wire. */
export function blobRecord(head: BlobDataHead, body: Uint8Array = Buffer.alloc(0)): Buffer {
  const writer = new ByteWriter();
  encodeDataHead(writer, head);
  return Buffer.concat([writer.view(), body]);
}

export function requestsOf(requests: Iterable<BlobRequest>): Buffer {
  const writer = new ByteWriter();
  for (const request of requests) encodeRequest(writer, request);
  return Buffer.from(writer.view());
}
