/**
 * The output of a run on disk, before it goes to anyone: one byte stream with absolute offsets, in
 * segment files `<name>.<offset, 16 hex digits>`. It is there for a client that comes back, also after
 * a restart of the host. Memory stays bounded by the tail that is kept for a live visitor.
 */
import {
  closeSync,
  ftruncateSync,
  openSync,
  readSync,
  readdirSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { RmtxError, systemErrorCode } from '../errors.js';
import { PRIVATE_FILE_MODE } from '../util/atomic-file.js';
import { SpoolTail } from './spool-tail.js';

const MEBIBYTE = 1024 * 1024;
/**
 * More than a visited command may be ahead of its visitor, which is 1 MiB and what is in a pipe, with the
 * 1 MiB before it that may have to be sent again: on a full disk there is nothing but the tail.
 */
const TAIL_BYTES = 2.5 * MEBIBYTE;

export interface SpoolOptions {
  readonly segmentBytes?: number;
  /** Delivered output is kept up to this size, so that it can be read again. */
  readonly limitBytes?: number;
  /**
   * Undelivered output is kept up to this size; past it the oldest goes, so that a run which nobody
   * visits cannot fill the disk. A visited run is held back long before.
   */
  readonly hardLimitBytes?: number;
  readonly tailBytes?: number;
  /** The offset behind the last byte, should no byte be left that tells it. */
  readonly endOffset?: number;
}

interface Segment {
  readonly offset: number;
  size: number;
}

interface Waiter {
  readonly offset: number;
  readonly wake: () => void;
}

/** One stream of one run. Written by one owner, read by any number of visitors, all in this process. */
export class Spool implements Disposable {
  readonly #stem: string;
  readonly #segmentBytes: number;
  readonly #limitBytes: number;
  readonly #hardLimitBytes: number;
  readonly #segments: Segment[];
  #tail: SpoolTail;
  readonly #tailBytes: number;
  readonly #waiters = new Set<Waiter>();
  #writeFd: number | undefined;
  #reading: { readonly segment: Segment; readonly fd: number } | undefined;
  #length: number;
  #delivered = 0;
  #isEnded = false;
  #isDiskFull = false;

  private constructor(stem: string, segments: Segment[], options: SpoolOptions) {
    this.#stem = stem;
    this.#segments = segments;
    this.#segmentBytes = options.segmentBytes ?? 8 * MEBIBYTE;
    this.#limitBytes = options.limitBytes ?? 256 * MEBIBYTE;
    this.#hardLimitBytes = Math.max(options.hardLimitBytes ?? 1024 * MEBIBYTE, this.#limitBytes);
    const last = segments.at(-1);
    this.#length = last === undefined ? (options.endOffset ?? 0) : endOf(last);
    this.#tailBytes = options.tailBytes ?? TAIL_BYTES;
    this.#tail = new SpoolTail(this.#length, this.#tailBytes);
  }

  /**
   * Opens what is there under this name, or an empty spool: then no file exists before the first byte.
   * After a power cut a segment may have lost its end; what lies before such a gap is removed, because
   * offsets would lie about it.
   */
  static open(directory: string, name: string, options: SpoolOptions = {}): Spool {
    const stem = path.join(directory, name);
    const found = listSegments(directory, name);
    const firstWhole = found.findLastIndex(
      (segment, index) => index > 0 && endOf(found[index - 1]) !== segment.offset,
    );
    for (const segment of found.splice(0, Math.max(firstWhole, 0)))
      rmSync(fileOf(stem, segment), { force: true });
    return new Spool(stem, found, options);
  }

  /** The offset behind the last byte. */
  get length(): number {
    return this.#length;
  }

  /** The oldest byte that can still be read; greater than 0 once a limit or a full disk dropped something. */
  get firstOffset(): number {
    return this.#segments[0]?.offset ?? this.#tail.start;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /**
   * Adds bytes and wakes who waits for them. They must not be changed afterwards: the tail keeps them.
   * On a full disk it goes on in memory alone as long as a visitor keeps up: the command may be about to
   * say what filled it. Throws DISK_FULL after that; a front part of the bytes may have been added then,
   * and offsets stay true.
   */
  append(bytes: Buffer): void {
    if (this.#isEnded) throw new Error('Internal error: append to an ended spool');
    let rest = bytes;
    while (rest.length > 0) {
      const part = this.#isDiskFull ? this.#appendInMemory(rest) : this.#appendToDisk(rest);
      rest = rest.subarray(part.length);
    }
    for (const waiter of this.#waiters) if (waiter.offset < this.#length) this.#wake(waiter);
  }

  /**
   * Up to `maxBytes` from `offset` on, possibly fewer; empty at the end of what there is. The newest
   * bytes come from memory, without a copy: the caller must not change them. Throws a RangeError below
   * {@link firstOffset}.
   */
  read(offset: number, maxBytes: number): Buffer {
    if (offset < this.firstOffset)
      throw new RangeError(`offset ${offset} was dropped; the first is ${this.firstOffset}`);
    if (offset >= this.#length) return Buffer.alloc(0);
    return this.#tail.read(offset, maxBytes) ?? this.#readFile(offset, maxBytes);
  }

  /** Resolves when a byte at `offset` is there, when the spool has ended, or when it is aborted. */
  waitForMore(offset: number, abortSignal?: AbortSignal): Promise<void> {
    if (offset < this.#length || this.#isEnded || abortSignal?.aborted === true)
      return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        abortSignal?.removeEventListener('abort', abandon);
        resolve();
      };
      const waiter = { offset, wake };
      const abandon = (): void => this.#wake(waiter);
      this.#waiters.add(waiter);
      abortSignal?.addEventListener('abort', abandon, { once: true });
    });
  }

  /** Nothing more will come. May be called more than once. */
  end(): void {
    this.#isEnded = true;
    this.#closeWriter();
    for (const waiter of this.#waiters) this.#wake(waiter);
  }

  /** Everything before `deliveredOffset` has reached its visitor, so the limit may drop it. */
  retain(deliveredOffset: number): void {
    this.#delivered = Math.max(this.#delivered, deliveredOffset);
    this.#trim();
  }

  /** Drops all but the newest segment: a disk that it filled must not stay full for everybody. */
  makeRoom(): void {
    for (;;) {
      const [oldest, next] = this.#segments;
      if (oldest === undefined || next === undefined) return;
      this.#dropOldest(oldest);
    }
  }

  /** Of those that can still be read. */
  get keptBytes(): number {
    return this.#length - this.firstOffset;
  }

  /** Gives its memory and descriptors back while nobody reads; what is only in memory is dropped. */
  rest(): void {
    this.#closeReader();
    this.#tail = new SpoolTail(this.#length, this.#tailBytes);
  }

  /** Closes its files; they stay on disk. */
  [Symbol.dispose](): void {
    this.end();
    this.#closeReader();
  }

  #wake(waiter: Waiter): void {
    this.#waiters.delete(waiter);
    waiter.wake();
  }

  /** Returns what was added. */
  #appendToDisk(bytes: Buffer): Buffer {
    try {
      const segment = this.#segmentWithRoom();
      const part = bytes.subarray(0, this.#segmentBytes - segment.size);
      this.#write(segment, part);
      return part;
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      // All that its visitor does not have yet must be in memory: the files go.
      if (this.#delivered < this.#tail.start) throw this.#diskFull(error);
      this.#isDiskFull = true;
      this.#dropSegments();
      return bytes.subarray(0, 0);
    }
  }

  #appendInMemory(bytes: Buffer): Buffer {
    if (this.#length + bytes.length - this.#delivered > this.#tailBytes) throw this.#diskFull();
    this.#length += bytes.length;
    this.#tail.append(bytes);
    return bytes;
  }

  #diskFull(cause?: unknown): RmtxError {
    const directory = path.dirname(this.#stem);
    return new RmtxError(
      'ERR_RMTX_DISK_FULL',
      `no space left for the run's output in ${directory}`,
      {
        cause,
        hint: 'free some space there, or run rmtx cache prune, and try again',
      },
    );
  }

  #dropSegments(): void {
    this.#closeWriter();
    this.#closeReader();
    for (const segment of this.#segments.splice(0))
      rmSync(fileOf(this.#stem, segment), { force: true });
  }

  #segmentWithRoom(): Segment {
    const last = this.#segments.at(-1);
    if (last !== undefined && last.size < this.#segmentBytes) return last;
    this.#closeWriter();
    const segment = { offset: this.#length, size: 0 };
    this.#writeFd = openSync(fileOf(this.#stem, segment), 'a+', PRIVATE_FILE_MODE);
    this.#segments.push(segment);
    this.#trim();
    return segment;
  }

  #write(segment: Segment, bytes: Buffer): void {
    this.#writeFd ??= openSync(fileOf(this.#stem, segment), 'a+', PRIVATE_FILE_MODE);
    let written = 0;
    try {
      while (written < bytes.length) written += writeSync(this.#writeFd, bytes, written);
    } catch (error) {
      // A part may have been written; the file's size is what a later start believes.
      ftruncateSync(this.#writeFd, segment.size);
      throw error;
    }
    segment.size += bytes.length;
    this.#length += bytes.length;
    this.#tail.append(bytes);
  }

  #readFile(offset: number, maxBytes: number): Buffer {
    const segment = this.#segments.findLast((candidate) => candidate.offset <= offset);
    if (segment === undefined) throw new Error('Internal error: a spool without its segment');
    if (this.#reading?.segment !== segment) {
      this.#closeReader();
      this.#reading = { segment, fd: openSync(fileOf(this.#stem, segment), 'r') };
    }
    const bytes = Buffer.allocUnsafe(Math.min(maxBytes, endOf(segment) - offset));
    const length = readSync(this.#reading.fd, bytes, 0, bytes.length, offset - segment.offset);
    if (length === 0)
      throw new RmtxError('ERR_RMTX_STATE_CORRUPT', `${fileOf(this.#stem, segment)} lost its end`);
    return bytes.subarray(0, length);
  }

  /** Whole segments only; the one being written stays. */
  #trim(): void {
    for (;;) {
      const [oldest, next] = this.#segments;
      if (oldest === undefined || next === undefined) return;
      const kept = this.#length - oldest.offset;
      const limit = endOf(oldest) <= this.#delivered ? this.#limitBytes : this.#hardLimitBytes;
      if (kept <= limit) return;
      this.#dropOldest(oldest);
    }
  }

  #dropOldest(oldest: Segment): void {
    if (this.#reading?.segment === oldest) this.#closeReader();
    rmSync(fileOf(this.#stem, oldest), { force: true });
    this.#segments.shift();
  }

  #closeWriter(): void {
    if (this.#writeFd !== undefined) closeSync(this.#writeFd);
    this.#writeFd = undefined;
  }

  #closeReader(): void {
    if (this.#reading !== undefined) closeSync(this.#reading.fd);
    this.#reading = undefined;
  }
}

function endOf(segment: Segment | undefined): number {
  return segment === undefined ? 0 : segment.offset + segment.size;
}

function fileOf(stem: string, segment: Segment): string {
  return `${stem}.${segment.offset.toString(16).padStart(16, '0')}`;
}

/** In the order of their offsets: the names sort that way. */
function listSegments(directory: string, name: string): Segment[] {
  return namesIn(directory)
    .filter(
      (file) => file.startsWith(`${name}.`) && /^[0-9a-f]{16}$/.test(file.slice(name.length + 1)),
    )
    .sort()
    .map((file) => ({
      offset: Number.parseInt(file.slice(name.length + 1), 16),
      size: statSync(path.join(directory, file)).size,
    }));
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

function isDiskFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(systemErrorCode(error) ?? '');
}
