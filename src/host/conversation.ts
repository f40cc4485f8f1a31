/** One connection of ALPN `rmtx/1`, greeted or about to be: who is there, what they say, what they are told. */
import { RmtxError, isRmtxError } from '../errors.js';
import { parseClientMessage } from '../protocol/client-message-codec.js';
import type { PeerConnection } from '../protocol/connection.js';
import { badMessage } from '../protocol/bad-message.js';
import { encodeHostMessage } from '../protocol/host-message-codec.js';
import { Inbox } from '../protocol/inbox.js';
import { PROTOCOL } from '../protocol/messages.js';
import type { ClientMessage, HostMessage } from '../protocol/messages.js';
import { explainWriteError } from '../store/disk-full.js';
import type { TrustedClient } from '../trust/trust-store.js';
import { nowUs } from '../util/microseconds.js';
import { printable } from '../util/printable.js';
import { VERSION } from '../version.js';
import { HostForwards } from './forwards.js';
import { hardwareAddressesAt } from './hardware-addresses.js';
import { hostStopping, takenOver } from './run-errors.js';
import type { Run } from './run.js';
import type { HostServices } from './services.js';
import type { Visitor } from './visitors.js';

export interface ConversationOptions {
  readonly connection: PeerConnection;
  readonly client: TrustedClient;
  readonly services: HostServices;
  /** The address of this machine that the client connected to. */
  readonly localAddress: string | undefined;
}

export class Conversation implements Visitor {
  readonly connection: PeerConnection;
  readonly client: TrustedClient;
  readonly services: HostServices;
  readonly inbox: Inbox<ClientMessage>;
  readonly #gone = new AbortController();
  /** What it is about, once that is known. */
  run: Run | undefined;
  /** False for one who only watches: what it says moves nothing. */
  maySteer = true;
  /** Why a message was refused, once one was. */
  refusal: Error | undefined;
  /** Made with the first connection to a port of the run's. */
  #forwards: HostForwards | undefined;
  #isEnded = false;
  #told: unknown;

  readonly #localAddress: string | undefined;

  constructor({ connection, client, services, localAddress }: ConversationOptions) {
    this.connection = connection;
    this.#localAddress = localAddress;
    this.client = client;
    this.services = services;
    void connection.closed.then(() => this.#gone.abort());
    this.inbox = new Inbox(connection, {
      peer: 'client',
      parse: parseClientMessage,
      aside: (message) => this.#steer(message),
      refuse: (error) => {
        this.refusal = error;
        this.end(error);
      },
    });
  }

  /** Aborted when the connection is over. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** The last word has been said; the connection closes by itself. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  async greet(): Promise<void> {
    const hello = await this.inbox.next('hello');
    const protocol = Math.min(hello.protocolMax, PROTOCOL.max);
    if (protocol < Math.max(hello.protocolMin, PROTOCOL.min))
      throw new RmtxError(
        'ERR_RMTX_VERSION_MISMATCH',
        `the host's rmtx ${VERSION} and the client's ${printable(hello.version)} have no protocol version in common`,
        { hint: 'install the same version of rmtx on both machines' },
      );
    const { name } = this.services;
    const hardwareAddresses = hardwareAddressesAt(this.#localAddress);
    const about = { protocol, version: VERSION, name, hardwareAddresses };
    this.send({ type: 'welcome', ...about, nowUs: nowUs() });
  }

  send(message: HostMessage): void {
    this.connection.send(encodeHostMessage(message));
  }

  /** Says it once, however many pass the error on. */
  tell(error: unknown): void {
    if (this.#told === error) return;
    this.#told = error;
    this.send({ type: 'error', error: asToldToClient(error, this.services) });
  }

  /** Tells why and closes: whatever the conversation waits for ends with that. */
  end(error: unknown): void {
    this.#isEnded = true;
    this.tell(error);
    void this.connection.close();
  }

  dismiss(): void {
    this.end(takenOver(this.run?.id ?? ''));
  }

  notice(code: string, message: string): void {
    this.send({ type: 'notice', code, message });
  }

  hostStops(): void {
    this.end(hostStopping(this.run));
  }

  /** For what may not come for hours: rejects when the connection is over. */
  orGone<T>(awaited: Promise<T>): Promise<T> {
    return Promise.race([awaited, this.inbox.ended]);
  }

  /** What a visitor may say at any time while there is a run. */
  #steer(message: ClientMessage): boolean {
    if (!isSteering(message)) return false;
    if (!this.maySteer) throw badMessage(`${message.type} from one who only watches`);
    const life = this.run?.life;
    if (message.type === 'stop') life?.stop({ isForced: message.isForced });
    else if (message.type === 'signal') life?.signal(message.name);
    else if (message.type === 'resize') life?.resize(message);
    else if (message.type === 'forward_open') this.#forwardsOf(this.run).open(message);
    else this.#forwards?.brokeThere(message.channel);
    return true;
  }

  #forwardsOf(run: Run | undefined): HostForwards {
    if (run === undefined) throw badMessage('a port of no run');
    this.#forwards ??= new HostForwards({
      connection: this.connection,
      send: (message) => this.send(message),
      hasPorts: () => run.state === 'preparing' || run.state === 'running',
    });
    return this.#forwards;
  }
}

const STEERING = ['stop', 'signal', 'resize', 'forward_open', 'forward_broken'] as const;
type Steering = Extract<ClientMessage, { type: (typeof STEERING)[number] }>;

function isSteering(message: ClientMessage): message is Steering {
  return (STEERING as readonly string[]).includes(message.type);
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
