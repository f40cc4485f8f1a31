import { RmtxError } from '../errors.js';
import type { ErrorCode } from '../errors.js';

export interface FieldsOptions {
  /** What an unacceptable field is reported as. */
  readonly code: ErrorCode;
  /** Begins each message: `pairing message`, a file's path. */
  readonly what: string;
}

/**
 * Reads named fields of a JSON object that somebody else may have written. Every method returns a
 * checked value or throws; fields that nobody asks for are ignored. Only own properties count, so
 * `__proto__` and `constructor` are names like any other.
 */
export class Fields {
  readonly #record: object;
  readonly #options: FieldsOptions;

  constructor(value: unknown, options: FieldsOptions) {
    this.#options = options;
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.#refusal('is not a JSON object');
    this.#record = value;
  }

  /** The fields of a file's or message's bytes. */
  static parse(bytes: Uint8Array, options: FieldsOptions): Fields {
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    } catch (cause) {
      throw new RmtxError(options.code, `${options.what} is not JSON`, { cause });
    }
    return new Fields(value, options);
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#record, name);
  }

  text(name: string, maxLength: number): string {
    return this.checked(name, isText(maxLength));
  }

  texts(name: string, limits: { readonly maxCount: number; readonly maxLength: number }): string[] {
    const isItem = isText(limits.maxLength);
    return this.checked(
      name,
      (value): value is string[] =>
        Array.isArray(value) && value.length <= limits.maxCount && value.every(isItem),
    );
  }

  integer(name: string, limits: { readonly min: number; readonly max: number }): number {
    return this.checked(
      name,
      (value): value is number =>
        typeof value === 'number' &&
        Number.isSafeInteger(value) &&
        value >= limits.min &&
        value <= limits.max,
    );
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T {
    return this.checked(name, (value): value is T => values.includes(value as T));
  }

  /** Bytes as lower-case hex, at most `maxBytes` of them. */
  bytes(name: string, maxBytes: number): Buffer {
    const text = this.text(name, 2 * maxBytes);
    if (!/^(?:[0-9a-f]{2})*$/.test(text)) throw this.#refusal(`has no valid ${name}`);
    return Buffer.from(text, 'hex');
  }

  /** Exactly `count` bytes as lower-case hex. */
  exactBytes(name: string, count: number): Buffer {
    const bytes = this.bytes(name, count);
    if (bytes.length !== count) throw this.#refusal(`has no valid ${name}`);
    return bytes;
  }

  /** An RFC 3339 time as `Date.toISOString` writes it. */
  time(name: string): string {
    return this.checked(name, isIsoTime);
  }

  nested(name: string): Fields {
    return new Fields(this.#value(name), {
      ...this.#options,
      what: `${this.#options.what}: ${name}`,
    });
  }

  /** The field as what `isValid` says it is. */
  checked<T>(name: string, isValid: (value: unknown) => value is T): T {
    const value = this.#value(name);
    if (!isValid(value)) throw this.#refusal(`has no valid ${name}`);
    return value;
  }

  #value(name: string): unknown {
    return this.has(name) ? (this.#record as Record<string, unknown>)[name] : undefined;
  }

  #refusal(reason: string): RmtxError {
    return new RmtxError(this.#options.code, `${this.#options.what} ${reason}`);
  }
}

function isText(maxLength: number): (value: unknown) => value is string {
  return (value): value is string => typeof value === 'string' && value.length <= maxLength;
}

function isIsoTime(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > 30) return false;
  const time = new Date(value);
  return !Number.isNaN(time.getTime()) && time.toISOString() === value;
}
