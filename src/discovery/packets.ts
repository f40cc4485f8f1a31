/**
 * What hosts and clients say to find each other, one UDP datagram each. Anybody on the network may say
 * any of it, so it is a hint where to look: whoever answers there proves its key before it is believed.
 * A query is padded to more than any answer, so that a forged sender gains nothing by asking.
 */
import type { PeerId } from '../trust/fingerprint.js';
import { safeLabel } from '../trust/label.js';
import {
  NONCE_BYTES,
  decodeFrame,
  encodeFrame,
  padded,
  textIn,
  u16,
  u16In,
} from './packet-frame.js';
import type { PacketFrame } from './packet-frame.js';

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
/** What a service may be called. */
export const SERVICE = /^[a-z0-9-]{1,63}$/i;
const PLAIN_WORD = /^[a-z0-9_-]{1,16}$/i;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** `nonce` is the asker's own: only an answer that repeats it was meant for this question. */
export function encodeQuery(service: string, nonce: Uint8Array): Buffer {
  return padded(encodeFrame('query', nonce, [[TAG.service, Buffer.from(service)]]), QUERY_BYTES);
}

export function encodeAnswer(host: HostFacts, nonce: Uint8Array): Buffer {
  return encodeFrame('answer', nonce, factFields(host));
}

export function encodeAnnouncement(host: HostFacts): Buffer {
  return encodeFrame('announcement', NO_NONCE, factFields(host));
}

/** Undefined for whatever is not one of our packets, whole and well-formed. Never throws. */
export function decodePacket(bytes: Buffer): DiscoveryPacket | undefined {
  const frame = decodeFrame(bytes);
  if (frame === undefined) return undefined;
  const { kind, nonce } = frame;
  if (kind === 'query') {
    const service = textIn(frame, TAG.service, SERVICE);
    return service === undefined ? undefined : { kind, nonce, service };
  }
  if (kind !== 'answer' && kind !== 'announcement') return undefined;
  const host = readFacts(frame);
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

function factFields(host: HostFacts): [number, Buffer][] {
  const { os, arch, cores, loadPercent } = host;
  return [
    [TAG.service, Buffer.from(host.service)],
    [TAG.name, Buffer.from(announcedName(host.name))],
    [TAG.port, u16(host.port)],
    [TAG.identity, Buffer.from(host.identityPrefix, 'hex')],
    [TAG.flags, Buffer.from([host.isPairingOpen ? PAIRING_OPEN : 0])],
    ...(os === undefined ? [] : field(TAG.os, Buffer.from(os))),
    ...(arch === undefined ? [] : field(TAG.arch, Buffer.from(arch))),
    ...(cores === undefined ? [] : field(TAG.cores, u16(cores))),
    ...(loadPercent === undefined ? [] : field(TAG.load, u16(loadPercent))),
  ];
}

function field(tag: number, value: Buffer): [[number, Buffer]] {
  return [[tag, value]];
}

function readFacts(frame: PacketFrame): HostFacts | undefined {
  const service = textIn(frame, TAG.service, SERVICE);
  const name = nameIn(frame);
  const port = u16In(frame, TAG.port);
  const identity = frame.fields.get(TAG.identity);
  if (service === undefined || name === undefined || port === undefined || port === 0)
    return undefined;
  if (identity?.length !== IDENTITY_BYTES) return undefined;
  return {
    service,
    name,
    port,
    // 16 lower-case hex digits, as fingerprintId makes them.
    identityPrefix: identity.toString('hex') as PeerId,
    isPairingOpen: ((frame.fields.get(TAG.flags)?.[0] ?? 0) & PAIRING_OPEN) !== 0,
    os: textIn(frame, TAG.os, PLAIN_WORD),
    arch: textIn(frame, TAG.arch, PLAIN_WORD),
    cores: u16In(frame, TAG.cores),
    loadPercent: u16In(frame, TAG.load),
  };
}

function nameIn({ fields }: PacketFrame): string | undefined {
  const bytes = fields.get(TAG.name);
  if (bytes === undefined || bytes.length > MAX_NAME_BYTES) return undefined;
  try {
    return safeLabel(utf8.decode(bytes));
  } catch {
    // Not UTF-8.
    return undefined;
  }
}
