/**
 * What is said on a pairing connection. One JSON object a message; every field is checked here, and
 * what nobody asks for is ignored, so that a later version can add to it.
 *
 *     client                                   host
 *     ask {label}                     →
 *                                     ←        answer {state}                 and the connection ends
 *
 *     start {role, label, share pA}   →
 *                                     ←        share {version, host_name, share pB}  or  refused
 *     confirm {mac A}                 →        counts a try, then compares
 *                                     ←        confirm {mac B}                       or  refused
 */
import { RmtxError } from '../errors.js';
import type { ErrorCode } from '../errors.js';
import { Fields } from '../util/fields.js';
import { SHARE_BYTES } from './spake2.js';

/** The versions this side speaks. A client offers its range, the host picks the highest of both. */
export const PAIRING_VERSIONS: VersionRange = { min: 1, max: 1 };
const MAX_VERSION = 1000;
/** Raw, before it is made safe: whatever fits a message beside the other fields. */
const MAX_RAW_LABEL = 1024;
const MAC_BYTES = 32;
/** Room for a share that is too long, so that the one who judges shares refuses it. */
const MAX_SHARE_BYTES = 2 * SHARE_BYTES;

export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

/** What a client may become. More roles are a later question; the word is bound into the exchange. */
export type PairingRole = 'exec';
const ROLES: readonly PairingRole[] = ['exec'];

export type ClientOpening =
  | { readonly type: 'ask'; readonly versions: VersionRange; readonly label: string }
  | {
      readonly type: 'start';
      readonly versions: VersionRange;
      readonly role: PairingRole;
      readonly label: string;
      readonly share: Buffer;
    };

export type AnsweredState = 'open' | 'closed' | 'locked';
const ANSWERED_STATES: readonly AnsweredState[] = ['open', 'closed', 'locked'];

const refusalCodes = {
  closed: 'ERR_RMTX_PAIRING_CLOSED',
  expired: 'ERR_RMTX_PAIRING_CODE_EXPIRED',
  locked: 'ERR_RMTX_PAIRING_LOCKED_OUT',
  busy: 'ERR_RMTX_PAIRING_BUSY',
  'wrong-code': 'ERR_RMTX_PAIRING_CODE_WRONG',
  version: 'ERR_RMTX_VERSION_MISMATCH',
  failed: 'ERR_RMTX_PAIRING_FAILED',
} as const satisfies Record<string, ErrorCode>;

export type RefusalReason = keyof typeof refusalCodes;
const REFUSAL_REASONS = Object.keys(refusalCodes) as RefusalReason[];

export interface Refusal {
  readonly type: 'refused';
  readonly reason: RefusalReason;
  /** With `wrong-code`. */
  readonly triesLeft?: number;
}

export type HostReply =
  | { readonly type: 'answer'; readonly state: AnsweredState }
  | {
      readonly type: 'share';
      readonly version: number;
      readonly hostName: string;
      readonly share: Buffer;
    }
  | { readonly type: 'confirm'; readonly mac: Buffer }
  | Refusal;

/** The client's first message. Throws BAD_MESSAGE, or VERSION_MISMATCH where no version fits both. */
export function parseClientOpening(message: unknown): ClientOpening {
  const fields = fieldsOf(message);
  const type = fields.oneOf('type', ['ask', 'start']);
  const versions = parseVersions(fields.object('versions'));
  // Before the rest: another version may have another form of everything else.
  chooseVersion(versions);
  const label = fields.string('label', MAX_RAW_LABEL);
  if (type === 'ask') return { type, versions, label };
  const role = fields.oneOf('role', ROLES);
  return { type, versions, role, label, share: fields.bytes('share', MAX_SHARE_BYTES) };
}

/** The client's second and last message. */
export function parseClientConfirm(message: unknown): Buffer {
  const fields = fieldsOf(message);
  fields.oneOf('type', ['confirm']);
  return fields.exactBytes('mac', MAC_BYTES);
}

/** What the host said, where `wanted` or a refusal is due. A refusal is returned, not thrown. */
export function parseHostReply<T extends HostReply['type']>(
  message: unknown,
  wanted: T,
): Extract<HostReply, { type: T }> | Refusal {
  const fields = fieldsOf(message);
  const type = fields.oneOf<string>('type', [wanted, 'refused']);
  return (type === 'refused' ? parseRefusal(fields) : parseWanted(fields, wanted)) as
    Extract<HostReply, { type: T }> | Refusal;
}

/** The highest version that both sides speak. Throws VERSION_MISMATCH. */
export function chooseVersion(offered: VersionRange): number {
  const version = Math.min(offered.max, PAIRING_VERSIONS.max);
  if (version >= offered.min && version >= PAIRING_VERSIONS.min) return version;
  throw new RmtxError(
    'ERR_RMTX_VERSION_MISMATCH',
    `the client speaks pairing ${offered.min} to ${offered.max}, this host ${PAIRING_VERSIONS.min} to ${PAIRING_VERSIONS.max}`,
  );
}

export function encodeOpening(opening: ClientOpening): object {
  return opening.type === 'ask' ? opening : { ...opening, share: opening.share.toString('hex') };
}

export function encodeConfirm(mac: Buffer): object {
  return { type: 'confirm', mac: mac.toString('hex') };
}

export function encodeShare(reply: Extract<HostReply, { type: 'share' }>): object {
  return {
    type: reply.type,
    version: reply.version,
    host_name: reply.hostName,
    share: reply.share.toString('hex'),
  };
}

export function encodeRefusal(refusal: Omit<Refusal, 'type'>): object {
  return { type: 'refused', reason: refusal.reason, tries_left: refusal.triesLeft };
}

/**
 * A refusal as the client's error. The peer is not known yet to be the host, so nothing of it is
 * repeated but which of our own sentences applies.
 */
export function refusalError(refusal: Refusal): RmtxError {
  const code = refusalCodes[refusal.reason];
  switch (refusal.reason) {
    case 'closed':
      return new RmtxError(code, 'the host is not waiting for a client', { hint: OPEN_A_WINDOW });
    case 'expired':
      return new RmtxError(code, 'the pairing code has expired', { hint: OPEN_A_WINDOW });
    case 'locked':
      return new RmtxError(code, 'pairing is locked after three wrong codes', {
        hint: OPEN_A_WINDOW,
      });
    case 'busy':
      return new RmtxError(code, 'the host is busy with other pairing attempts', {
        hint: 'try again in a few seconds',
        isRetryable: true,
      });
    case 'wrong-code':
      return wrongCode(refusal.triesLeft ?? 0);
    case 'version':
      return new RmtxError(code, 'the host speaks another version of pairing', {
        hint: 'use the same rmtx version on both machines',
      });
    case 'failed':
      return new RmtxError(code, 'the host could not finish pairing', {
        hint: 'what went wrong is in the output of rmtx host',
      });
  }
}

const OPEN_A_WINDOW = 'run rmtx host pair-code on the host and use the code it prints';

function wrongCode(triesLeft: number): RmtxError {
  const hint =
    triesLeft > 0
      ? `run this again with the code that the host shows; tries left: ${triesLeft}`
      : 'that was the last try: run rmtx host pair-code on the host again';
  return new RmtxError('ERR_RMTX_PAIRING_CODE_WRONG', 'the host did not accept the pairing code', {
    hint,
  });
}

function parseWanted(fields: Fields, wanted: HostReply['type']): HostReply {
  switch (wanted) {
    case 'answer':
      return { type: wanted, state: fields.oneOf('state', ANSWERED_STATES) };
    case 'share':
      return {
        type: wanted,
        version: fields.integer('version', PAIRING_VERSIONS.min, PAIRING_VERSIONS.max),
        hostName: fields.string('host_name', MAX_RAW_LABEL),
        share: fields.bytes('share', MAX_SHARE_BYTES),
      };
    case 'confirm':
      return { type: wanted, mac: fields.exactBytes('mac', MAC_BYTES) };
    case 'refused':
      return parseRefusal(fields);
  }
}

function parseRefusal(fields: Fields): Refusal {
  const reason = fields.oneOf('reason', REFUSAL_REASONS);
  return fields.has('tries_left')
    ? { type: 'refused', reason, triesLeft: fields.integer('tries_left', 0, 100) }
    : { type: 'refused', reason };
}

function parseVersions(fields: Fields): VersionRange {
  const min = fields.integer('min', 1, MAX_VERSION);
  return { min, max: fields.integer('max', min, MAX_VERSION) };
}

function fieldsOf(message: unknown): Fields {
  const refuse = (text: string): Error => new RmtxError('ERR_RMTX_BAD_MESSAGE', text);
  return new Fields(message, { what: 'the pairing message', refuse });
}
