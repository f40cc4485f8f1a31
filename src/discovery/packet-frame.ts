/**
 * The form that every packet of the discovery port has:
 *
 *     "RMTX" | version u8 | kind u8 | nonce, 8 bytes | fields: tag u8, length u8, value | tag 0: the rest is padding
 *
 * A field with an unknown tag is skipped: a later version can add to it.
 */

/** Room for what later versions add, far below what any network splits. */
export const MAX_PACKET_BYTES = 512;
export const NONCE_BYTES = 8;

const MAGIC = Buffer.from('RMTX');
const VERSION = 1;
const KINDS = ['query', 'answer', 'announcement', 'call', 'cookie', 'call-back'] as const;
const KIND_AT = MAGIC.length + 1;
const NONCE_AT = KIND_AT + 1;
const FIELDS_AT = NONCE_AT + NONCE_BYTES;

export type PacketKind = (typeof KINDS)[number];

export interface PacketFrame {
  readonly kind: PacketKind;
  readonly nonce: Buffer;
  /** The first of each tag. */
  readonly fields: ReadonlyMap<number, Buffer>;
}

export function encodeFrame(
  kind: PacketKind,
  nonce: Uint8Array,
  fields: readonly [tag: number, value: Buffer][],
): Buffer {
  const head = Buffer.concat([MAGIC, Buffer.from([VERSION, KINDS.indexOf(kind) + 1]), nonce]);
  const parts = fields.flatMap(([tag, value]) => [Buffer.from([tag, value.length]), value]);
  return Buffer.concat([head, ...parts]);
}

/** With zeros after it. */
export function padded(packet: Buffer, bytes: number): Buffer {
  const whole = Buffer.alloc(bytes);
  packet.copy(whole);
  return whole;
}

/** Whether it is worth decoding as one: a few comparisons, for those who get a hundred thousand. */
export function looksLike(kind: PacketKind, bytes: Buffer): boolean {
  return (
    bytes.length >= FIELDS_AT &&
    bytes.length <= MAX_PACKET_BYTES &&
    bytes[KIND_AT] === KINDS.indexOf(kind) + 1 &&
    bytes[MAGIC.length] === VERSION &&
    MAGIC.compare(bytes, 0, MAGIC.length) === 0
  );
}

/** Undefined for whatever does not have this form from its first byte to its last. Never throws. */
export function decodeFrame(bytes: Buffer): PacketFrame | undefined {
  const kind = KINDS[(bytes[KIND_AT] ?? 0) - 1];
  if (kind === undefined || !looksLike(kind, bytes)) return undefined;
  const fields = readFields(bytes);
  if (fields === undefined) return undefined;
  return { kind, nonce: Buffer.from(bytes.subarray(NONCE_AT, FIELDS_AT)), fields };
}

/** Clamped to what fits. */
export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(Math.min(0xffff, Math.max(0, Math.round(value))));
  return bytes;
}

export function u16In({ fields }: PacketFrame, tag: number): number | undefined {
  const bytes = fields.get(tag);
  return bytes?.length === 2 ? bytes.readUInt16BE() : undefined;
}

export function textIn({ fields }: PacketFrame, tag: number, pattern: RegExp): string | undefined {
  const text = fields.get(tag)?.toString('latin1');
  return text !== undefined && pattern.test(text) ? text : undefined;
}

/** Undefined where a length reaches beyond the end. */
function readFields(bytes: Buffer): Map<number, Buffer> | undefined {
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
