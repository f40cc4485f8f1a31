/**
 * What hosts and clients say to find each other, one UDP datagram each. Anybody on the network may say
 * any of it, so it is a hint where to look: whoever answers there proves its key before it is believed.
 *
 *     "RMTX" | version u8 | kind u8 | nonce, 8 bytes | fields: tag u8, length u8, value | tag 0: the rest is padding
 *
 * A query is padded to more than any answer, so that a forged sender gains nothing by asking. A field with
 * an unknown tag is skipped: a later version can add to it.
 */
import type { PeerId } from '../trust/fingerprint.js';
import { safeLabel } from '../trust/label.js';

/** UDP, beside the host's TCP port 33221. */
export const DISCOVERY_PORT = 33_222;
/** How often a host says that it is there; see responder.ts for when it is more often. */
export const ANNOUNCEMENT_PERIOD_MS = 10_000;

/** What a host says of itself. */
export interface HostFacts {
  /** Hosts of another service are not for us: several groups share a network. */
  readonly service: string;
  /** Safe to print. */
  readonly name: string;
  /** Where it takes TCP connections, at the address the packet came from. */
  readonly port: number;
  /** The first 64 bits of its fingerprint. A hint: anybody may claim it. */
  readonly identityPrefix: PeerId;
  readonly isPairingOpen: boolean;
  /** As Node names them: `linux`, `x64`. */
  readonly os?: string | undefined;
  readonly arch?: string | undefined;
  readonly cores?: number | undefined;
  /** Of all cores, over the last minute; above 100 where work waits. */
  readonly loadPercent?: number | undefined;
}

export type DiscoveryPacket =
  | { readonly kind: 'query'; readonly nonce: Buffer; readonly service: string }
  | { readonly kind: 'answer'; readonly nonce: Buffer; readonly host: HostFacts }
  | { readonly kind: 'announcement'; readonly host: HostFacts };

/** More than any answer: see the test. */
export const QUERY_BYTES = 256;
/** Room for what later versions add, far below what any network splits. */
export const MAX_PACKET_BYTES = 512;
export const NONCE_BYTES = 8;

const MAGIC = Buffer.from('RMTX');
const VERSION = 1;
const KINDS = ['query', 'answer', 'announcement'] as const;
const KIND_AT = MAGIC.length + 1;
const NONCE_AT = KIND_AT + 1;
const FIELDS_AT = NONCE_AT + NONCE_BYTES;
const NO_NONCE = Buffer.alloc(NONCE_BYTES);

const TAG = {
  service: 1,
  name: 2,
  port: 3,
  identity: 4,
  flags: 5,
  os: 6,
  arch: 7,
  cores: 8,
  load: 9,
} as const;
const PAIRING_OPEN = 1;

const MAX_NAME_BYTES = 64;
const IDENTITY_BYTES = 8;
const SERVICE = /^[a-z0-9-]{1,63}$/i;
const PLAIN_WORD = /^[a-z0-9_-]{1,16}$/i;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** `nonce` is the asker's own: only an answer that repeats it was meant for this question. */
export function encodeQuery(service: string, nonce: Uint8Array): Buffer {
  const bytes = Buffer.alloc(QUERY_BYTES);
  Buffer.concat([head('query', nonce), ...field(TAG.service, Buffer.from(service))]).copy(bytes);
  return bytes;
}

export function encodeAnswer(host: HostFacts, nonce: Uint8Array): Buffer {
  return Buffer.concat([head('answer', nonce), ...factFields(host)]);
}

export function encodeAnnouncement(host: HostFacts): Buffer {
  return Buffer.concat([head('announcement', NO_NONCE), ...factFields(host)]);
}

/** Whether it is worth decoding as one: a few comparisons, for those who get a hundred thousand. */
export function looksLike(kind: DiscoveryPacket['kind'], bytes: Buffer): boolean {
  return (
    bytes.length >= FIELDS_AT &&
    bytes.length <= MAX_PACKET_BYTES &&
    bytes[KIND_AT] === KINDS.indexOf(kind) + 1 &&
    bytes[MAGIC.length] === VERSION &&
    MAGIC.compare(bytes, 0, MAGIC.length) === 0
  );
}

/** Undefined for whatever is not one of our packets, whole and well-formed. Never throws. */
export function decodePacket(bytes: Buffer): DiscoveryPacket | undefined {
  const kind = KINDS[(bytes[KIND_AT] ?? 0) - 1];
  if (kind === undefined || !looksLike(kind, bytes)) return undefined;
  const fields = readFields(bytes);
  if (fields === undefined) return undefined;
  const nonce = Buffer.from(bytes.subarray(NONCE_AT, FIELDS_AT));
  if (kind === 'query') {
    const service = textIn(fields, TAG.service, SERVICE);
    return service === undefined ? undefined : { kind, nonce, service };
  }
  const host = readFacts(fields);
  if (host === undefined) return undefined;
  return kind === 'answer' ? { kind, nonce, host } : { kind, host };
}

/** The name as every receiver will show it. */
export function announcedName(name: string): string {
  let kept = '';
  for (const character of safeLabel(name)) {
    if (Buffer.byteLength(kept + character) > MAX_NAME_BYTES) break;
    kept += character;
  }
  return safeLabel(kept);
}

/** A system's or a processor's name where it is one, as short as those are. */
export function plainWord(text: string | undefined): string | undefined {
  return text !== undefined && PLAIN_WORD.test(text) ? text : undefined;
}

export function isServiceName(text: unknown): text is string {
  return typeof text === 'string' && SERVICE.test(text);
}

function head(kind: DiscoveryPacket['kind'], nonce: Uint8Array): Buffer {
  return Buffer.concat([MAGIC, Buffer.from([VERSION, KINDS.indexOf(kind) + 1]), nonce]);
}

function factFields(host: HostFacts): Buffer[] {
  const { os, arch, cores, loadPercent } = host;
  return [
    ...field(TAG.service, Buffer.from(host.service)),
    ...field(TAG.name, Buffer.from(announcedName(host.name))),
    ...field(TAG.port, u16(host.port)),
    ...field(TAG.identity, Buffer.from(host.identityPrefix, 'hex')),
    ...field(TAG.flags, Buffer.from([host.isPairingOpen ? PAIRING_OPEN : 0])),
    ...(os === undefined ? [] : field(TAG.os, Buffer.from(os))),
    ...(arch === undefined ? [] : field(TAG.arch, Buffer.from(arch))),
    ...(cores === undefined ? [] : field(TAG.cores, u16(cores))),
    ...(loadPercent === undefined ? [] : field(TAG.load, u16(loadPercent))),
  ];
}

function field(tag: number, value: Buffer): [Buffer, Buffer] {
  return [Buffer.from([tag, value.length]), value];
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(Math.min(0xffff, Math.max(0, Math.round(value))));
  return bytes;
}

type Fields = ReadonlyMap<number, Buffer>;

/** The first of each tag; undefined where a length reaches beyond the end. */
function readFields(bytes: Buffer): Fields | undefined {
  const fields = new Map<number, Buffer>();
  let at = FIELDS_AT;
  while (at < bytes.length) {
    const tag = bytes[at];
    if (tag === 0 || tag === undefined) break;
    const length = bytes[at + 1];
    const end = at + 2 + (length ?? 0);
    if (length === undefined || end > bytes.length) return undefined;
    if (!fields.has(tag)) fields.set(tag, bytes.subarray(at + 2, end));
    at = end;
  }
  return fields;
}

function readFacts(fields: Fields): HostFacts | undefined {
  const service = textIn(fields, TAG.service, SERVICE);
  const name = nameIn(fields);
  const port = u16In(fields, TAG.port);
  const identity = fields.get(TAG.identity);
  if (service === undefined || name === undefined || port === undefined || port === 0)
    return undefined;
  if (identity?.length !== IDENTITY_BYTES) return undefined;
  return {
    service,
    name,
    port,
    // 16 lower-case hex digits, as fingerprintId makes them.
    identityPrefix: identity.toString('hex') as PeerId,
    isPairingOpen: ((fields.get(TAG.flags)?.[0] ?? 0) & PAIRING_OPEN) !== 0,
    os: textIn(fields, TAG.os, PLAIN_WORD),
    arch: textIn(fields, TAG.arch, PLAIN_WORD),
    cores: u16In(fields, TAG.cores),
    loadPercent: u16In(fields, TAG.load),
  };
}

function nameIn(fields: Fields): string | undefined {
  const bytes = fields.get(TAG.name);
  if (bytes === undefined || bytes.length > MAX_NAME_BYTES) return undefined;
  try {
    return safeLabel(utf8.decode(bytes));
  } catch {
    // Not UTF-8.
    return undefined;
  }
}

function textIn(fields: Fields, tag: number, pattern: RegExp): string | undefined {
  const text = fields.get(tag)?.toString('latin1');
  return text !== undefined && pattern.test(text) ? text : undefined;
}

function u16In(fields: Fields, tag: number): number | undefined {
  const bytes = fields.get(tag);
  return bytes?.length === 2 ? bytes.readUInt16BE() : undefined;
}
