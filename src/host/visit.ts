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
import { explainWriteError } from '../store/disk-full.js';
import type { TrustedClient } from '../trust/trust-store.js';
import { nowUs } from '../util/microseconds.js';
import { printable } from '../util/printable.js';
import { VERSION } from '../version.js';
import type { HeldSlot } from './contexts.js';
import { sendChangeSet } from './results.js';
import { prepareRequest } from './run-request.js';
import { describeFailure } from './routes.js';
import type { Run } from './run.js';
import { hostStopping } from './runs.js';
import type { HostServices } from './services.js';
import { receiveManifest } from './uploads.js';

export interface VisitOptions {
  readonly connection: PeerConnection;
  readonly client: TrustedClient;
  readonly services: HostServices;
  /** Called once the client has said what it wants: until then it has the deadline of a stranger. */
  readonly onOpened: () => void;
}

/** Serves the connection to its end. Never rejects: what goes wrong is told to the client and logged. */
export async function serveVisit(options: VisitOptions): Promise<void> {
  const { connection, services } = options;
  const { stopping } = services.runs;
  const visit = new Visit(options);
  const tell = (error: RmtxError): void =>
    connection.send(encodeHostMessage({ type: 'error', error }));
  const onStopping = (): void => {
    tell(hostStopping());
    // Whatever the visit waits for ends with the connection.
    void connection.close();
  };
  stopping.addEventListener('abort', onStopping, { once: true });
  try {
    await visit.serve();
  } catch (thrown) {
    // A refused message has ended the connection: what that broke is not the reason.
    const error = visit.refusal ?? thrown;
    if (!isLost(error)) {
      services.log(`run failed: ${describeFailure(error)}`);
      tell(asToldToClient(error, services));
    }
    await visit.leave().catch((failure: unknown) => {
      services.log(`a run could not be left in order: ${describeFailure(failure)}`);
    });
    if (isLost(error) && !stopping.aborted) connection.destroy();
  } finally {
    stopping.removeEventListener('abort', onStopping);
    await connection.close();
  }
}

function isLost(error: unknown): boolean {
  return isRmtxError(error) && error.family === 'connection';
}

/** A client has to know on which machine the trouble is. */
function asToldToClient(error: unknown, { paths }: HostServices): RmtxError {
  const explained = explainWriteError(error, paths.root);
  if (!isRmtxError(explained))
    return new RmtxError('ERR_RMTX_HOST_FAILED', 'the host failed: its log says why');
  const { code, message, hint } = explained;
  return code === 'ERR_RMTX_DISK_FULL'
    ? new RmtxError(code, `on the host: ${message}`, { hint })
    : explained;
}

class Visit {
  readonly #options: VisitOptions;
  readonly #inbox: Inbox<ClientMessage>;
  #held: HeldSlot | undefined;
  #run: Run | undefined;
  /** From the command's start to the capture of its changes. */
  #ending: Promise<unknown> | undefined;
  /** Nobody is there to take what the command changes. */
  #hasLeft = false;
  /** Why a message was refused, once one was. */
  refusal: Error | undefined;

  constructor(options: VisitOptions) {
    this.#options = options;
    this.#inbox = new Inbox(options.connection, {
      peer: 'client',
      parse: parseClientMessage,
      aside: (message) => {
        if (message.type !== 'stop') return false;
        this.#run?.stop({ isForced: message.isForced });
        return true;
      },
      refuse: (error) => {
        this.refusal = error;
        this.#send({ type: 'error', error: asToldToClient(error, options.services) });
        // Whatever the visit waits for ends with the connection.
        void options.connection.close();
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
    this.#hasLeft = true;
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
    const { services } = this.#options;
    const hello = await this.#inbox.next('hello');
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
    const { client, services, onOpened } = this.#options;
    const open = await this.#inbox.next('run_open');
    onOpened();
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
      waiting: [],
    });
    return run;
  }

  async #execute(run: Run, start: Extract<ClientMessage, { type: 'start' }>): Promise<void> {
    const { connection, services } = this.#options;
    const request = await prepareRequest(run, start, services);
    const startedUs = nowUs();
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
    const collecting = executing.then(() => {
      if (this.#hasLeft || services.runs.stopping.aborted) throw hostStopping();
      return run.collect(request, startedUs);
    });
    this.#ending = collecting;
    collecting.catch(() => undefined);
    // Nobody waits for a command whose client is gone: it is asked to end (leave).
    const report = await Promise.race([executing, this.#inbox.ended]);
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

/** Says why not, and nothing else; what the client sends is not read. */
export function refuseVisit(connection: PeerConnection, error: RmtxError): Promise<void> {
  connection.send(encodeHostMessage({ type: 'refused', error }));
  return connection.close();
}
