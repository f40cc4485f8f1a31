/**
 * The master's side of a Unix terminal with one command in it: what is typed goes in, what is shown
 * comes out, and the last byte of it, too.
 *
 * Three facts decide how. A read that comes after the last slave was closed may find data and still be
 * taken for the end (libuv, when poll says "hung up"): so a slave is held open here until the command
 * has ended, and from then on the master is read by hand until the system itself says that nobody is
 * left. Streams of Node write to a master as if it were blocking, in a loop that never ends where the
 * command does not read: so it is written by hand, as much as it takes, and asked again later. What a
 * terminal in line mode does not take (more than 4095 bytes without a newline) is lost here as in any
 * other terminal.
 */
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { setImmediate, setTimeout as delay } from 'node:timers/promises';
import { ReadStream } from 'node:tty';
import { systemErrorCode } from '../errors.js';
import { drained } from '../util/drained.js';
import type { KeptTerminal, TerminalEnds } from './kept-terminal.js';
import type { StartRequest } from './terminal-messages.js';
import { helperProgram, loadTerminalAddon } from './terminal-package.js';
import type { TerminalAddon } from './terminal-package.js';

const PIECE_BYTES = 64 * 1024;
/**
 * What is shown is read between two writes: an echo that finds no room (64 KiB on Linux) is lost, though what
 * was typed is not.
 */
const WRITE_BYTES = 4 * 1024;
const LONGEST_WRITE_PAUSE_MS = 32;
/** A host that takes nothing for so long is waited for no more: a Ctrl-C may be behind. */
const LONGEST_ECHO_WAIT_MS = 100;
/** While something that the command left behind holds the terminal. */
const HELD_PAUSE_MS = 5;
/** Ctrl-D, what a terminal in line mode calls the end; twice, because the first only ends a begun line. */
const END_OF_INPUT = Buffer.from([4, 4]);
/** What the addon's child prints, with the system's words after it, where `execvp` refused. */
const REFUSED = /^execvp\(3\) failed\.: ([^\r\n]{1,100})\r\n$/;
/** It comes in one piece, so nothing else is kept waiting. */
const MAYBE_REFUSED = /^execvp\(3\) failed\.: [^\r\n]{0,100}(?:\r\n?)?$/;

export class MasterSide implements KeptTerminal {
  readonly pid: number;
  readonly #addon: TerminalAddon;
  readonly #ends: TerminalEnds;
  readonly #fd: number;
  readonly #reader: ReadStream;
  readonly #piece = Buffer.allocUnsafe(PIECE_BYTES);
  #slave: number | undefined;
  #isClosed = false;
  /** The first output, as long as it may be the addon's own complaint. */
  #withheld: string | undefined = '';

  constructor(request: StartRequest, ends: TerminalEnds) {
    this.#ends = ends;
    this.#addon = loadTerminalAddon();
    const [file = '', ...args] = request.argv;
    const made = this.#addon.fork(
      file,
      args,
      Object.entries(request.env).map(([name, value]) => `${name}=${value}`),
      request.cwd,
      request.columns,
      request.rows,
      -1,
      -1,
      true,
      helperProgram(),
      (code, exitSignal) => void this.#commandEnded(code, exitSignal),
    );
    this.pid = made.pid;
    this.#fd = made.fd;
    this.#slave = openSync(made.pty, constants.O_RDWR | constants.O_NOCTTY);
    this.#reader = this.#startReading();
    void this.#carryInput();
  }

  resize(columns: number, rows: number): void {
    // The number may mean another file by now.
    if (!this.#isClosed) this.#addon.resize(this.#fd, columns, rows);
  }

  hangUp(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#letGoOfSlave();
    this.#reader.destroy();
    this.#ends.input.destroy();
    this.#ends.output.end();
  }

  #startReading(): ReadStream {
    // Read into our own buffer, nothing is left in the stream's when its reading is stopped.
    const options = {
      readable: true,
      onread: {
        buffer: this.#piece,
        callback: (length: number) => this.#show(this.#piece.subarray(0, length)),
      },
    };
    const reader = new ReadStream(this.#fd, options);
    reader.on('error', () => this.hangUp());
    this.#ends.output.on('drain', () => reader.resume());
    reader.resume();
    return reader;
  }

  /** False where the host does not take more for now. */
  #show(bytes: Buffer): boolean {
    if (this.#withheld === undefined) return this.#ends.output.write(Buffer.from(bytes));
    this.#withheld += bytes.toString('latin1');
    return MAYBE_REFUSED.test(this.#withheld) || this.#showWithheld();
  }

  #showWithheld(): boolean {
    const text = this.#withheld ?? '';
    this.#withheld = undefined;
    return text === '' || this.#ends.output.write(Buffer.from(text, 'latin1'));
  }

  async #commandEnded(code: number, exitSignal: number): Promise<void> {
    // From here on the master is read below.
    this.#reader.pause();
    this.#ends.output.removeAllListeners('drain');
    this.#tellEnd(code, exitSignal);
    this.#letGoOfSlave();
    for (;;) {
      const read = this.#readPiece();
      if (read === 'over') break;
      if (read === 'held') await delay(HELD_PAUSE_MS);
      else if (this.#ends.output.writableNeedDrain) await drained(this.#ends.output);
    }
    this.hangUp();
  }

  /** At once, whatever is still to be read: who waits for the end lets more be read then. */
  #tellEnd(code: number, exitSignal: number): void {
    let read = 'some';
    while (code === 1 && this.#withheld !== undefined && read === 'some') read = this.#readPiece();
    const refusal = code === 1 ? REFUSED.exec(this.#withheld ?? '')?.[1] : undefined;
    if (refusal !== undefined) this.#withheld = '';
    if (this.#withheld !== undefined) this.#showWithheld();
    this.#ends.onEnd(
      refusal === undefined
        ? { type: 'exited', code, exitSignal }
        : { type: 'not-executable', reason: refusal },
    );
  }

  /** `held`: nothing for now, but somebody has the terminal open, so more may come. */
  #readPiece(): 'some' | 'held' | 'over' {
    if (this.#isClosed) return 'over';
    try {
      const length = readSync(this.#fd, this.#piece, 0, PIECE_BYTES, null);
      // BSD says so that nobody is left, Linux with EIO.
      if (length === 0) return 'over';
      this.#show(this.#piece.subarray(0, length));
      return 'some';
    } catch (error) {
      return systemErrorCode(error) === 'EAGAIN' ? 'held' : 'over';
    }
  }

  async #carryInput(): Promise<void> {
    try {
      for await (const piece of this.#ends.input as AsyncIterable<Buffer>) await this.#type(piece);
      await this.#type(END_OF_INPUT);
    } catch {
      // Cut off by the end of the terminal.
    }
  }

  /** Resolves when the terminal took all of it, or is closed. */
  async #type(bytes: Buffer): Promise<void> {
    let pauseMs = 1;
    for (let done = 0; done < bytes.length && !this.#isClosed;) {
      const length = this.#write(bytes.subarray(done, done + WRITE_BYTES));
      done += length;
      if (length > 0) {
        pauseMs = 1;
        await setImmediate();
        await this.#untilShown();
      } else {
        await delay(pauseMs);
        pauseMs = Math.min(pauseMs * 2, LONGEST_WRITE_PAUSE_MS);
      }
    }
  }

  /** While the host does not take what was shown, nothing is read here, and the next echo may find no room. */
  async #untilShown(): Promise<void> {
    const deadline = performance.now() + LONGEST_ECHO_WAIT_MS;
    for (let pauseMs = 1; this.#ends.output.writableNeedDrain; pauseMs *= 2) {
      if (performance.now() > deadline) return;
      await delay(pauseMs);
    }
  }

  #write(bytes: Buffer): number {
    try {
      return writeSync(this.#fd, bytes);
    } catch (error) {
      if (systemErrorCode(error) === 'EAGAIN') return 0;
      throw error;
    }
  }

  #letGoOfSlave(): void {
    if (this.#slave !== undefined) closeSync(this.#slave);
    this.#slave = undefined;
  }
}
