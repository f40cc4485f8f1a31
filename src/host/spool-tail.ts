/** The newest bytes of a spool in memory, so that a visitor who keeps up costs no read from disk. */

/** A piece at least this large is kept as it came; smaller ones are gathered, to keep their number low. */
const KEPT_AS_IS_BYTES = 16 * 1024;
const SMALLEST_BLOCK_BYTES = 4 * 1024;
const LARGEST_BLOCK_BYTES = 64 * 1024;

interface Block {
  readonly offset: number;
  readonly bytes: Buffer;
  /** Bytes in use. What is filled never changes, so views of it stay good. */
  length: number;
}

export class SpoolTail {
  readonly #maxBytes: number;
  #blocks: Block[] = [];
  #end: number;

  /** Begins empty at the offset `end`. Keeps `maxBytes`, rounded up to a whole block. */
  constructor(end: number, maxBytes: number) {
    this.#end = end;
    this.#maxBytes = maxBytes;
  }

  /** The first byte that is here. */
  get start(): number {
    return this.#blocks[0]?.offset ?? this.#end;
  }

  append(bytes: Buffer): void {
    const end = this.#end + bytes.length;
    if (bytes.length > this.#maxBytes) {
      // A copy of its end only: a view would hold all of it in memory.
      const kept = Buffer.from(bytes.subarray(bytes.length - this.#maxBytes));
      this.#blocks.push({ offset: end - kept.length, bytes: kept, length: kept.length });
    } else if (bytes.length >= KEPT_AS_IS_BYTES)
      this.#blocks.push({ offset: this.#end, bytes, length: bytes.length });
    else this.#gather(bytes);
    this.#end = end;
    this.#drop();
  }

  /** A view of some bytes from `offset` on; undefined when they are not in memory. */
  read(offset: number, maxBytes: number): Buffer | undefined {
    const block = this.#blocks.findLast((candidate) => candidate.offset <= offset);
    if (block === undefined || offset >= block.offset + block.length) return undefined;
    const start = offset - block.offset;
    return block.bytes.subarray(start, Math.min(block.length, start + maxBytes));
  }

  #gather(bytes: Buffer): void {
    let rest = bytes;
    let offset = this.#end;
    while (rest.length > 0) {
      const block = this.#blockWithRoom(offset);
      const count = rest.copy(block.bytes, block.length);
      block.length += count;
      offset += count;
      rest = rest.subarray(count);
    }
  }

  /** Blocks grow with the output: a command that prints a line costs 4 KiB. */
  #blockWithRoom(offset: number): Block {
    const last = this.#blocks.at(-1);
    if (last !== undefined && last.length < last.bytes.length) return last;
    const size = Math.min(
      LARGEST_BLOCK_BYTES,
      Math.max(SMALLEST_BLOCK_BYTES, (last?.bytes.length ?? 0) * 4),
    );
    const block = { offset, bytes: Buffer.allocUnsafeSlow(size), length: 0 };
    this.#blocks.push(block);
    return block;
  }

  #drop(): void {
    const keep = this.#blocks.findIndex(
      (block) => block.offset + block.length > this.#end - this.#maxBytes,
    );
    if (keep > 0) this.#blocks = this.#blocks.slice(keep);
  }
}
