/**
 * Pairing: two machines come to trust each other's key because one person read a short code on the one
 * and typed it on the other. SPAKE2 (spake2.ts) inside TLS 1.3; the confirmation keys are bound to this
 * very connection, so the result cannot be carried from one connection to another.
 *
 * What holds, and by what:
 * - The code is never sent. One run tests one guess, for a false client and for a false host alike.
 * - The client confirms first, and the host counts the try before it compares. A client that goes away
 *   before its confirmation has learned nothing: the host's share hides w, and a host that refuses a
 *   share does so without looking at w.
 * - A relay that terminates TLS on both sides has two exporters and two keys of its own: both honest
 *   sides compute other confirmations, although both know the code. (Whoever has the code itself is
 *   not a relay: the code is the authority to pair, once.)
 * - Roles, versions, label and host name are in the same binding: none can be changed under way.
 * - Trust is stored before the host's confirmation leaves, and the client stores only after checking it:
 *   a connection cut in between leaves the client unpaired and the host with a key that did know the code.
 */
import { timingSafeEqual } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { RmtxError, isRmtxError } from '../errors.js';
import type { Fingerprint } from './fingerprint.js';
import { safeLabel } from './label.js';
import { derivePairingKeys } from './pairing-binding.js';
import type { ShareReply, StartOpening } from './pairing-binding.js';
import { derivePairingScalar } from './pairing-code.js';
import type { PairingCode } from './pairing-code.js';
import {
  PAIRING_VERSIONS,
  chooseVersion,
  encodeConfirm,
  encodeOpening,
  encodeRefusal,
  encodeShare,
  parseClientConfirm,
  parseClientOpening,
  parseHostReply,
  refusalError,
} from './pairing-messages.js';
import type {
  AnsweredState,
  ClientOpening,
  HostReply,
  PairingRole,
  RefusalReason,
} from './pairing-messages.js';
import type { PairingAttempt, PairingWindow } from './pairing-window.js';
import { PAIRING_DEADLINE_MS, PairingWire } from './pairing-wire.js';
import { Spake2Party, parseShare } from './spake2.js';

/**
 * `socket.exportKeyingMaterial(PAIRING_EXPORTER_BYTES, PAIRING_EXPORTER_LABEL)` (RFC 8446 §7.5): equal
 * on both ends of one connection, and different on every other. The label is ours, so no other protocol
 * can be made to produce the same bytes.
 */
export const PAIRING_EXPORTER_LABEL = 'EXPORTER-rmtx-pairing-v1';
export const PAIRING_EXPORTER_BYTES = 32;

/** A TLS 1.3 connection on which both sides showed a certificate; nobody trusts either yet. */
export interface PairingChannel {
  readonly stream: Duplex;
  readonly exporter: Buffer;
  readonly clientFingerprint: Fingerprint;
  readonly hostFingerprint: Fingerprint;
}

interface Deadline {
  /** What is left of the connection's absolute deadline. */
  readonly deadlineMs?: number | undefined;
}

export interface ClientPairingOptions extends Deadline {
  readonly code: PairingCode;
  /** How this client wants to be called on the host. */
  readonly label: string;
  readonly wantedRole: PairingRole;
}

/** A client that knew the code. */
export interface NewClient {
  readonly fingerprint: Fingerprint;
  readonly label: string;
  readonly role: PairingRole;
}

export interface HostPairingOptions extends Deadline {
  readonly window: PairingWindow;
  readonly hostName: string;
  /** Makes the host trust the client, lastingly, before it returns. The client is told only after it. */
  readonly onPaired: (client: NewClient) => void | Promise<void>;
  /**
   * Somebody of this name would like to pair and there is no window: tell the person at the host, once.
   * The label is safe to print, and the calls are limited in rate.
   */
  readonly onAsked?: ((label: string) => void) | undefined;
}

/** How one pairing connection ended for the host. */
export type PairingOutcome =
  | { readonly kind: 'paired'; readonly client: NewClient }
  | { readonly kind: 'asked'; readonly label: string; readonly state: AnsweredState }
  | { readonly kind: 'refused'; readonly label: string; readonly reason: RefusalReason }
  | { readonly kind: 'failed'; readonly error: RmtxError };

/**
 * Asks the host whether it waits for a client; where it does not, it tells its owner. For a client whose
 * user has yet to read the code: pairing itself is another connection.
 */
export async function askToPair(
  channel: PairingChannel,
  options: { readonly label: string } & Deadline,
): Promise<AnsweredState> {
  return onWire(channel, options, async (wire) => {
    const label = safeLabel(options.label);
    wire.send(encodeOpening({ type: 'ask', versions: PAIRING_VERSIONS, label }));
    return accepted(parseHostReply(await wire.receive(), 'answer')).state;
  });
}

/**
 * Pairs with the host on this connection. When it returns, the host at the other end knew the code, and
 * its key is the channel's `hostFingerprint`: pin that. When it throws, nothing is paired.
 *
 * Throws PAIRING_CODE_WRONG, PAIRING_CODE_EXPIRED, PAIRING_CLOSED, PAIRING_LOCKED_OUT, VERSION_MISMATCH,
 * PAIRING_FAILED (also where the host cannot prove that it knows the code), or what the stream ends with.
 * Never call it again with the same code unasked: each run gives a false host one guess.
 */
export async function pairAsClient(
  channel: PairingChannel,
  options: ClientPairingOptions,
): Promise<{ hostName: string }> {
  return onWire(channel, options, async (wire) => {
    const party = new Spake2Party({ role: 'A', secret: await derivePairingScalar(options.code) });
    const opening: StartOpening = {
      type: 'start',
      versions: PAIRING_VERSIONS,
      role: options.wantedRole,
      label: safeLabel(options.label),
      share: party.share,
    };
    wire.send(encodeOpening(opening));
    const reply = accepted(parseHostReply(await wire.receive(), 'share'));
    const peer = parseShare(reply.share);
    if (peer.bytes.equals(party.share)) throw hostUnproven();
    const keys = derivePairingKeys({ channel, opening, reply, party, peer });
    if (keys === undefined) throw hostUnproven();
    wire.send(encodeConfirm(keys.confirmationA));
    const { mac } = accepted(parseHostReply(await wire.receive(), 'confirm'));
    if (!timingSafeEqual(mac, keys.confirmationB)) throw hostUnproven();
    return { hostName: safeLabel(reply.hostName) };
  });
}

/**
 * Serves one pairing connection to its end. Never throws for what the peer does; what went wrong is the
 * outcome. Where `onPaired` fails the client is told so, the code is used up, and the outcome is its
 * error.
 */
export async function pairAsHost(
  channel: PairingChannel,
  options: HostPairingOptions,
): Promise<PairingOutcome> {
  requireExporter(channel);
  const wire = new PairingWire(channel.stream, options.deadlineMs ?? PAIRING_DEADLINE_MS);
  try {
    const opening = parseClientOpening(await wire.receive());
    const outcome =
      opening.type === 'ask'
        ? answerAsk(wire, opening, options)
        : await serveStart({ channel, options, wire }, opening);
    wire.finish();
    return outcome;
  } catch (error) {
    if (!isRmtxError(error)) {
      wire.destroy();
      throw error;
    }
    wire.send(
      encodeRefusal({ reason: error.code === 'ERR_RMTX_VERSION_MISMATCH' ? 'version' : 'failed' }),
    );
    wire.finish();
    return { kind: 'failed', error };
  }
}

interface Serving {
  readonly channel: PairingChannel;
  readonly options: HostPairingOptions;
  readonly wire: PairingWire;
}

function answerAsk(
  wire: PairingWire,
  opening: ClientOpening,
  options: HostPairingOptions,
): PairingOutcome {
  const label = safeLabel(opening.label);
  const state = noticeAsk(label, options);
  wire.send({ type: 'answer', state });
  return { kind: 'asked', label, state };
}

async function serveStart(serving: Serving, opening: StartOpening): Promise<PairingOutcome> {
  const { options, wire } = serving;
  const label = safeLabel(opening.label);
  const admitted = options.window.admit();
  if (typeof admitted === 'string') {
    noticeAsk(label, options);
    wire.send(encodeRefusal({ reason: admitted }));
    return { kind: 'refused', label, reason: admitted };
  }
  using attempt = admitted;
  return await runExchange(serving, opening, attempt);
}

async function runExchange(
  serving: Serving,
  opening: StartOpening,
  attempt: PairingAttempt,
): Promise<PairingOutcome> {
  const { channel, options, wire } = serving;
  const label = safeLabel(attempt.label ?? opening.label);
  const peer = parseShare(opening.share);
  const party = new Spake2Party({ role: 'B', secret: attempt.scalar });
  const reply: ShareReply = {
    type: 'share',
    version: chooseVersion(opening.versions),
    hostName: safeLabel(options.hostName),
    share: party.share,
  };
  wire.send(encodeShare(reply));

  const mac = parseClientConfirm(await wire.receive());
  const settlement = attempt.settle(() => {
    const keys = derivePairingKeys({ channel, opening, reply, party, peer });
    return keys !== undefined && timingSafeEqual(mac, keys.confirmationA) ? keys : undefined;
  });
  if (settlement.kind === 'refused') {
    wire.send(encodeRefusal(settlement));
    return { kind: 'refused', label, reason: settlement.reason };
  }
  const client = { fingerprint: channel.clientFingerprint, label, role: opening.role };
  await persist(client, options);
  wire.send(encodeConfirm(settlement.proof.confirmationB));
  return { kind: 'paired', client };
}

async function persist(client: NewClient, options: HostPairingOptions): Promise<void> {
  try {
    await options.onPaired(client);
  } catch (cause) {
    if (isRmtxError(cause)) throw cause;
    throw new RmtxError('ERR_RMTX_PAIRING_FAILED', 'the new client could not be stored', { cause });
  }
}

/** Tells the owner that somebody would like a code, unless a window is open or pairing pauses. */
function noticeAsk(label: string, options: HostPairingOptions): AnsweredState {
  const { state, isNotable } = options.window.answerAsk();
  if (isNotable) options.onAsked?.(label);
  return state;
}

/** Runs the client's side and leaves the stream ended, or destroyed where something went wrong. */
async function onWire<T>(
  channel: PairingChannel,
  options: Deadline,
  converse: (wire: PairingWire) => Promise<T>,
): Promise<T> {
  requireExporter(channel);
  const wire = new PairingWire(channel.stream, options.deadlineMs ?? PAIRING_DEADLINE_MS);
  try {
    const result = await converse(wire);
    wire.finish();
    return result;
  } catch (error) {
    wire.destroy();
    throw error;
  }
}

function accepted<T extends HostReply>(reply: T): Exclude<T, { type: 'refused' }> {
  if (reply.type === 'refused') throw refusalError(reply);
  return reply as Exclude<T, { type: 'refused' }>;
}

/** An empty exporter would pair just as well, and with a relay too: a caller's bug must not pass. */
function requireExporter(channel: PairingChannel): void {
  if (channel.exporter.length !== PAIRING_EXPORTER_BYTES)
    throw new Error(`the exporter must be ${PAIRING_EXPORTER_BYTES} bytes`);
}

function hostUnproven(): RmtxError {
  return new RmtxError(
    'ERR_RMTX_PAIRING_FAILED',
    'the host could not prove that it knows the pairing code',
    { hint: 'somebody may be between the two machines: check the address and the fingerprint' },
  );
}
