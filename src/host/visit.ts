/**
 * One connection of ALPN `rmtx/1`: a paired client runs one command. The order of the messages is in
 * protocol/messages.ts; this file is the host's side of it, told from top to bottom.
 */
import path from 'node:path';
import { RmtxError, isRmtxError } from '../errors.js';
import type { PeerConnection } from '../protocol/connection.js';
import { parseClientMessage } from '../protocol/client-message-codec.js';
import { encodeHostMessage } from '../protocol/host-message-codec.js';
import { Inbox } from '../protocol/inbox.js';
import { CHANNEL, PROTOCOL } from '../protocol/messages.js';
import type { ClientMessage, HostMessage } from '../protocol/messages.js';
import { BlobStore } from '../store/blob-store.js';
import type { TrustedClient } from '../trust/trust-store.js';
import { nowUs } from '../util/microseconds.js';
import { printable } from '../util/printable.js';
import { VERSION } from '../version.js';
import type { HeldSlot } from './contexts.js';
import { sendChangeSet } from './results.js';
import { prepareRequest } from './run-request.js';
import type { Run } from './run.js';
import type { HostServices } from './services.js';
import { receiveManifest } from './uploads.js';

export interface VisitOptions {
  readonly connection: PeerConnection;
  readonly client: TrustedClient;
  readonly services: HostServices;
  /** Called once the client has spoken a first well-formed word. */
  readonly onGreeted: () => void;
}

/** Serves the connection to its end. Never rejects: what goes wrong is told to the client and logged. */
export async function serveVisit(options: VisitOptions): Promise<void> {
  const { connection, services } = options;
  const visit = new Visit(options);
  try {
    await visit.serve();
    await connection.close();
  } catch (error) {
    await visit.leave();
    if (isRmtxError(error) && error.family === 'connection') {
      connection.destroy();
      return;
    }
    const told = isRmtxError(error)
      ? error
      : new RmtxError('ERR_RMTX_HOST_FAILED', 'the host failed: its log says why', {
          cause: error,
        });
    services.log(`run failed: ${printable(describe(error))}`);
    connection.send(encodeHostMessage({ type: 'error', error: told }));
    await connection.close();
  }
}

class Visit {
  readonly #options: VisitOptions;
  readonly #inbox: Inbox<ClientMessage>;
  #held: HeldSlot | undefined;
  #run: Run | undefined;
  /** From the command's start to the capture of its changes. */
  #ending: Promise<unknown> | undefined;
  #onStop: (isForced: boolean) => void = () => undefined;

  constructor(options: VisitOptions) {
    this.#options = options;
    this.#inbox = new Inbox(options.connection, {
      peer: 'client',
      parse: parseClientMessage,
      aside: (message) => {
        if (message.type !== 'stop') return false;
        this.#onStop(message.isForced);
        return true;
      },
    });
  }

  async serve(): Promise<void> {
    await this.#greet();
    const run = await this.#open();
    await receiveManifest(this.#options.connection, this.#inbox, run.held.workspace);
    const start = await this.#inbox.next('start');
    await run.held.workspace.materialize();
    await this.#execute(run, start);
    const { type } = await this.#inbox.next('applied', 'discard');
    this.#run = undefined;
    // Told before the tidying is over: the client has nothing to wait for, the next run does (takeSlot).
    this.#send({ type: 'acknowledged' });
    await (type === 'applied' ? run.acknowledge() : run.discard());
  }

  /**
   * The client is gone or was refused: a command that still runs is asked to end, as by Ctrl-C, and the
   * workspace is put back.
   */
  async leave(): Promise<void> {
    const run = this.#run;
    this.#run = undefined;
    if (run === undefined) {
      await this.#held?.release();
      return;
    }
    run.stop({ isForced: false });
    await this.#ending?.catch(() => undefined);
    await run.discard();
  }

  async #greet(): Promise<void> {
    const { services, onGreeted } = this.#options;
    const hello = await this.#inbox.next('hello');
    onGreeted();
    const protocol = Math.min(hello.protocolMax, PROTOCOL.max);
    if (protocol < Math.max(hello.protocolMin, PROTOCOL.min))
      throw new RmtxError(
        'ERR_RMTX_VERSION_MISMATCH',
        `the host's rmtx ${VERSION} and the client's ${printable(hello.version)} have no protocol version in common`,
        { hint: 'install the same version of rmtx on both machines' },
      );
    this.#send({
      type: 'welcome',
      protocol,
      version: VERSION,
      name: services.name,
      nowUs: nowUs(),
    });
  }

  async #open(): Promise<Run> {
    const { client, services } = this.#options;
    const open = await this.#inbox.next('run_open');
    const context = services.contexts.open(client.id, open.contextKey, open.contextName);
    this.#held = await services.contexts.takeSlot(context);
    const { manifestId } = await this.#held.workspace.verify();
    const run = services.runs.create({
      id: open.runId,
      clientId: client.id,
      contextId: context.id,
      label: open.label,
      held: this.#held,
    });
    this.#run = run;
    this.#send({
      type: 'run_opened',
      workspace: run.held.workspacePath,
      slot: run.held.slot,
      isCold: manifestId === undefined,
      base: manifestId ?? null,
    });
    return run;
  }

  async #execute(run: Run, start: Extract<ClientMessage, { type: 'start' }>): Promise<void> {
    const { connection, services } = this.#options;
    const request = await prepareRequest(run, start, services);
    const startedUs = nowUs();
    this.#onStop = (isForced) => run.stop({ isForced });
    const delivered = Promise.all([
      run.stdout.deliver(connection.openSend(CHANNEL.stdout), 0),
      run.stderr.deliver(connection.openSend(CHANNEL.stderr), 0),
    ]);
    delivered.catch(() => undefined);
    const executing = run.execute(request, () => {
      this.#send({ type: 'started' });
      if (request.hasStdin) void run.feedStdin(connection.openReceive(CHANNEL.stdin));
    });
    // The changes are captured while the last of the output is still on its way.
    const collecting = executing.then(() => run.collect(request, startedUs));
    this.#ending = collecting;
    collecting.catch(() => undefined);
    const report = await executing;
    await delivered;
    this.#send({ type: 'exited', ...report });
    await sendChangeSet(connection, run, {
      summary: await collecting,
      store: new BlobStore(path.join(services.paths.blobs, run.record.clientId)),
    });
  }

  #send(message: HostMessage): void {
    this.#options.connection.send(encodeHostMessage(message));
  }
}

function describe(error: unknown): string {
  if (isRmtxError(error)) return `${error.code} ${error.message}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

export function refuseUnknown(connection: PeerConnection): Promise<void> {
  const error = new RmtxError('ERR_RMTX_NOT_PAIRED', 'the host does not know this client', {
    hint: 'run rmtx pair --host ADDR, with a code from rmtx host pair-code on the host',
  });
  connection.send(encodeHostMessage({ type: 'refused', error }));
  return connection.close();
}
