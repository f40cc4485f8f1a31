/**
 * The keys that are for rmtx and not for the command: `~.` right after Enter leaves the run, as in ssh.
 * They work whatever the connection does.
 */

/** More in one read than anybody types in an instant is a paste, and what it says is not for us. */
const MAX_TYPED_BYTES = 8;
const TILDE = 0x7e;
const DOT = 0x2e;
const QUESTION_MARK = 0x3f;
const ENTER = [0x0d, 0x0a];

export type EscapeAction = 'leave' | 'explain';

export interface Typed {
  /** For the command. */
  readonly bytes: Buffer;
  readonly action: EscapeAction | undefined;
}

export class EscapeKeys {
  #isAtLineStart = true;
  /** A `~` at the start of a line is kept back until the next key says what it means. */
  #hasTilde = false;

  take(bytes: Buffer): Typed {
    if (bytes.length > MAX_TYPED_BYTES) return { bytes: this.#passAll(bytes), action: undefined };
    const passed: number[] = [];
    let action: EscapeAction | undefined;
    for (const byte of bytes) action = this.#takeKey(byte, passed) ?? action;
    return { bytes: Buffer.from(passed), action };
  }

  #takeKey(byte: number, passed: number[]): EscapeAction | undefined {
    if (this.#hasTilde) {
      this.#hasTilde = false;
      if (byte === DOT) return 'leave';
      if (byte === QUESTION_MARK) {
        this.#isAtLineStart = true;
        return 'explain';
      }
      this.#isAtLineStart = false;
      passed.push(TILDE);
      // `~~` types one.
      if (byte === TILDE) return undefined;
    } else if (this.#isAtLineStart && byte === TILDE) {
      this.#hasTilde = true;
      return undefined;
    }
    passed.push(byte);
    this.#isAtLineStart = ENTER.includes(byte);
    return undefined;
  }

  #passAll(bytes: Buffer): Buffer {
    const tilde = this.#hasTilde ? Buffer.of(TILDE) : Buffer.alloc(0);
    this.#hasTilde = false;
    this.#isAtLineStart = ENTER.includes(bytes.at(-1) ?? 0);
    return Buffer.concat([tilde, bytes]);
  }
}
