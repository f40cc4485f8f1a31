/** Reaching the host: choose, dial, prove both identities, greet. */
import { RmtxError, isRmtxError } from '../errors.js';
import { encodeClientMessage } from '../protocol/client-message-codec.js';
import { PeerConnection } from '../protocol/connection.js';
import { badMessage } from '../protocol/bad-message.js';
import { parseHostMessage } from '../protocol/host-message-codec.js';
import { Inbox } from '../protocol/inbox.js';
import { ALPN_RUN, PROTOCOL } from '../protocol/messages.js';
import type { ClientMessage, HostMessage } from '../protocol/messages.js';
import { formatAddress } from '../transport/address.js';
import type { Address } from '../transport/address.js';
import { secureAsClient } from '../transport/secure-stream.js';
import type { SecureStream } from '../transport/secure-stream.js';
import type { Fingerprint } from '../trust/fingerprint.js';
import { loadIdentity } from '../trust/identity.js';
import type { Identity } from '../trust/identity.js';
import { rememberMeeting, rememberWakeAddresses } from '../trust/known-hosts.js';
import { nowUs } from '../util/microseconds.js';
import { VERSION } from '../version.js';
import { BegunDial, DIAL_TIMEOUT_MS } from './begun-dial.js';
import { raceDials } from './dial-race.js';
import { addressesOf, heardAddresses } from './discovered-addresses.js';
import { hostsDirectory, identityDirectory } from './home.js';
import type { ClientHome } from './home.js';
import type { HostChoice } from './host-choice.js';
import type { HostSearch } from './host-search.js';
import { reachEitherWay } from './reach.js';
import { notFound, timeIsUp, withHint } from './unreached.js';

export interface DialedHost extends SecureStream {
  readonly address: string;
  /** Of this machine: its port could not be reached, and it was asked to dial us there. Undefined: it was reached. */
  readonly dialedBackTo: string | undefined;
}

/** For people. */
export const DIALED_BACK = 'the host dialled back (its port cannot be reached from here)';

/**
 * Dials the remembered addresses, each with a head start before the next, and after them those that are heard
 * on the network; ends at the first that answers with an accepted key. The abort signal also ends the
 * connection that it led to. Rejects with the first address's error: the others are only hints; where a signal
 * of TIMED_OUT ended it, only if that says that another machine is there.
 */
export async function dialHost(options: {
  readonly home: ClientHome;
  readonly choice: HostChoice;
  readonly alpn: string;
  readonly abortSignal?: AbortSignal | undefined;
  /** Listens already; without, whoever is not where it was is listened for here. */
  readonly search?: HostSearch | undefined;
  readonly onDialedBack?: (() => void) | undefined;
}): Promise<DialedHost> {
  const { choice, home, alpn, abortSignal, search } = options;
  const { addresses: remembered, pins, lookAround, callService, dialedBackAt } = choice;
  const identity = loadIdentity(identityDirectory(home));
  if (identity === undefined)
    throw new RmtxError('ERR_RMTX_NOT_PAIRED', 'this machine is not paired with any host', {
      hint: 'run rmtx pair --host ADDR, with a code from rmtx host pair-code on the host',
    });
  const wanted = lookAround?.pins.length === 0 ? undefined : lookAround;
  let { begun } = choice;
  const heard: Address[] = [];
  let bestFailure: unknown;
  const dialed = await raceDials<DialedHost>({
    abortSignal,
    patienceMs: search === undefined ? wanted?.timeoutMs : 0,
    addresses: (over) =>
      addressesOf(
        remembered,
        wanted &&
          (() =>
            noting(
              heard,
              search?.addresses(over) ?? heardAddresses(wanted, { abortSignal: over }),
            )),
      ),
    dial: (address, signal) => {
      const first = begun;
      begun = undefined;
      return dialAddress({
        address,
        identity,
        alpn,
        // What is heard may be said by anybody: it leads to the one that is looked for, or nowhere.
        pins: remembered.includes(address) ? pins : (wanted?.pins ?? pins),
        callService,
        isCalledAtOnce: dialedBackAt.includes(formatAddress(address)),
        abortSignal: signal,
        begun: first,
      }).catch((error: unknown) => {
        if (address === remembered[0]) bestFailure = error;
        throw error;
      });
    },
  }).catch((error: unknown) => {
    if (abortSignal?.aborted === true) throw timeIsUp(error, bestFailure);
    throw wanted === undefined
      ? withHint(error, choice.hintOfNames?.())
      : notFound(error, { remembered, heard });
  });
  endWith(dialed, abortSignal);
  if (dialed.dialedBackTo !== undefined) options.onDialedBack?.();
  rememberMeeting(hostsDirectory(home), dialed.peerFingerprint, dialed);
  return dialed;
}

function endWith({ socket }: DialedHost, abortSignal: AbortSignal | undefined): void {
  if (abortSignal === undefined) return;
  const end = (): void => void socket.destroy();
  abortSignal.addEventListener('abort', end);
  socket.once('close', () => abortSignal.removeEventListener('abort', end));
  if (abortSignal.aborted) end();
}

async function* noting(
  heard: Address[],
  addresses: AsyncIterable<Address>,
): AsyncGenerator<Address, void> {
  for await (const address of addresses) {
    heard.push(address);
    yield address;
  }
}

export interface DialAddressOptions {
  readonly address: Address;
  readonly identity: Identity;
  readonly alpn: string;
  /** Undefined: any key (pairing only). */
  readonly pins: readonly Fingerprint[] | undefined;
  /** The service of the host that is asked to dial back where we do not get through; undefined: nobody is. */
  readonly callService: string | undefined;
  /** It had to dial back the last time: it is asked beside our dial, and not only after it. */
  readonly isCalledAtOnce?: boolean | undefined;
  readonly abortSignal?: AbortSignal | undefined;
  /** To this address. */
  readonly begun?: BegunDial | undefined;
}

export function dialAddress(options: DialAddressOptions): Promise<DialedHost> {
  const { callService: service, isCalledAtOnce, abortSignal } = options;
  if (service === undefined) return dialDirectly(options);
  return reachEitherWay<DialedHost>({
    abortSignal,
    ...(isCalledAtOnce === true ? { delayMs: 0 } : {}),
    direct: (signal, onReached) => dialDirectly({ ...options, abortSignal: signal }, onReached),
    reverse: async (signal) => {
      const { dialedBack } = await import('./dial-back.js');
      const secure = await dialedBack({ ...options, service, abortSignal: signal });
      return { ...secure, address: formatAddress(options.address) };
    },
  });
}

async function dialDirectly(
  options: DialAddressOptions,
  onReached?: () => void,
): Promise<DialedHost> {
  const { address, identity, alpn, pins, abortSignal, begun = new BegunDial(address) } = options;
  const stream = await begun.take(abortSignal);
  onReached?.();
  const description = formatAddress(address);
  const secure = await secureAsClient({
    stream,
    identity,
    alpn,
    pins,
    timeoutMs: DIAL_TIMEOUT_MS,
    description,
  });
  return { ...secure, address: description, dialedBackTo: undefined };
}

/** What a host says of a connection that the client has opened to a port of the run's. */
export type ForwardNews = Extract<HostMessage, { type: 'forward_broken' | 'forward_over' }>;

/** A greeted connection for one run. */
export interface HostConnection {
  readonly connection: PeerConnection;
  readonly inbox: Inbox<HostMessage>;
  readonly address: string;
  readonly fingerprint: Fingerprint;
  send(message: ClientMessage): void;
  /** Rejects where the host refused. */
  readonly welcome: Promise<{ readonly name: string; readonly clockOffsetUs: number }>;
  /** Who hears what the host says of connections to forwarded ports; without, it may say nothing. */
  hearOfForwards(handler: (message: ForwardNews) => void): void;
  /** Aborted when the connection broke: what then waits on this side of it need not go on waiting. */
  readonly lost: AbortSignal;
}

/** True for what may pass by itself: a connection that broke, or could not be made. */
export function isConnectionLoss(error: unknown): error is RmtxError {
  return (
    isRmtxError(error) && error.family === 'connection' && error.code !== 'ERR_RMTX_HOST_NOT_SET'
  );
}

/** Below this a difference of the clocks is only the way there and back. */
const MIN_CLOCK_OFFSET_US = 5000;

/** Connects for a run. The greeting is sent at once; its answer is `welcome`. */
export async function connectForRun(options: {
  readonly home: ClientHome;
  readonly choice: HostChoice;
  readonly abortSignal?: AbortSignal;
  readonly search?: HostSearch | undefined;
  readonly onDialedBack?: (() => void) | undefined;
  readonly onNotice: (code: string, message: string) => void;
}): Promise<HostConnection> {
  const dialed = await dialHost({ ...options, alpn: ALPN_RUN });
  const connection = new PeerConnection(dialed.socket);
  let hear = (message: ForwardNews): void => {
    throw badMessage(`${message.type} where nothing was forwarded`);
  };
  const inbox = new Inbox<HostMessage>(connection, {
    peer: 'host',
    parse: parseHostMessage,
    aside: (message) => {
      if (message.type === 'error' || message.type === 'refused') throw asTheHosts(message.error);
      if (message.type === 'forward_broken' || message.type === 'forward_over') {
        hear(message);
        return true;
      }
      if (message.type !== 'notice') return false;
      options.onNotice(message.code, message.message);
      return true;
    },
  });
  const sentUs = nowUs();
  const send = (message: ClientMessage): void => connection.send(encodeClientMessage(message));
  send({ type: 'hello', protocolMin: PROTOCOL.min, protocolMax: PROTOCOL.max, version: VERSION });
  const welcome = inbox.next('welcome').then((message) => {
    // The host read its clock about half-way between our sending and our receiving.
    const offset = message.nowUs - (sentUs + nowUs()) / 2;
    const isReal = Math.abs(offset) > MIN_CLOCK_OFFSET_US + (nowUs() - sentUs);
    const { hardwareAddresses } = message;
    rememberWakeAddresses(hostsDirectory(options.home), dialed.peerFingerprint, hardwareAddresses);
    return { name: message.name, clockOffsetUs: isReal ? Math.round(offset) : 0 };
  });
  welcome.catch(() => undefined);
  const lost = new AbortController();
  void connection.closed.then(({ error }) => {
    if (error === undefined || isConnectionLoss(error)) lost.abort();
  });
  return {
    connection,
    inbox,
    address: dialed.address,
    fingerprint: dialed.peerFingerprint,
    send,
    welcome,
    hearOfForwards: (handler) => {
      hear = handler;
    },
    lost: lost.signal,
  };
}

/** Interrupts come from the person at this machine: one that a host tells of must not look like it. */
function asTheHosts(error: RmtxError): RmtxError {
  return error.code === 'ERR_RMTX_INTERRUPTED' ? badMessage('an interrupt of ours') : error;
}
