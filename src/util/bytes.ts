/** Growing writer and bounds-checked reader for our binary formats: wire records and state files. */

/** Appends numbers and bytes to a buffer that doubles as needed. */
export class ByteWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(initialBytes = 256) {
    this.#buffer = Buffer.allocUnsafe(initialBytes);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    this.#reserve(1);
    this.#length = this.#buffer.writeUInt8(value, this.#length);
    return this;
  }

  u32(value: number): this {
    this.#reserve(4);
    this.#length = this.#buffer.writeUInt32BE(value, this.#length);
    return this;
  }

  /** Unsigned LEB128 of an integer up to 2^53 - 1. */
  varint(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a varint: ${value}`);
    this.#reserve(8);
    let rest = value;
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#buffer[this.#length++] = rest;
    return this;
  }

  /** A signed integer, zigzag-coded as a varint; |value| < 2^52. */
  zigzag(value: number): this {
    return this.varint(value < 0 ? -value * 2 - 1 : value * 2);
  }

  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** Length as varint, then the bytes. */
  prefixed(bytes: Uint8Array): this {
    return this.varint(bytes.length).raw(bytes);
  }

  /** The bytes written so far; valid until the next write. */
  view(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Hands over what was written and starts again with a fresh buffer. */
  take(): Buffer {
    const taken = this.view();
    this.#buffer = Buffer.allocUnsafe(Math.max(256, taken.length));
    this.#length = 0;
    return taken;
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + count));
    grown.set(this.view());
    this.#buffer = grown;
  }
}

/** Thrown when fewer bytes are there than a field needs, or a number is out of range. */
export class BytesError extends Error {
  override readonly name = 'BytesError';
}

/** Reads what {@link ByteWriter} wrote; throws {@link BytesError}, never reads past the end. */
export class ByteReader {
  readonly #bytes: Buffer;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.#bytes.length - this.#position;
  }

  get position(): number {
    return this.#position;
  }

  u8(): number {
    return this.#take(1)[0] ?? 0;
  }

  u32(): number {
    return this.#take(4).readUInt32BE(0);
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 8; count++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) break;
        return value;
      }
      scale *= 0x80;
    }
    throw new BytesError('varint out of range');
  }

  zigzag(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** A view into the input, not a copy. */
  raw(length: number): Buffer {
    return this.#take(length);
  }

  prefixed(maxLength: number): Buffer {
    const length = this.varint();
    if (length > maxLength) throw new BytesError(`field of ${length} bytes, limit ${maxLength}`);
    return this.#take(length);
  }

  #take(length: number): Buffer {
    if (length > this.remaining) throw new BytesError('unexpected end of bytes');
    const start = this.#position;
    this.#position += length;
    return this.#bytes.subarray(start, this.#position);
  }
}
