import { printable } from './printable.js';

export interface Bounds {
  readonly min: number;
  readonly max: number;
}

export interface FieldsOptions {
  /** What the object is: the type of a message, a file's path. */
  readonly what: string;
  /** Makes the error for what is not as it should be. */
  readonly refuse: (text: string, cause?: unknown) => Error;
}

/**
 * Typed, bounded reading of one JSON object that somebody else may have written. Every getter returns a checked
 * value, or throws what `refuse` makes of a text that names object and field. Fields that nobody asks for are
 * ignored, so that a newer version may add some; only own ones count, so `__proto__` is a name like any other.
 */
export class Fields {
  readonly #record: Readonly<Record<string, unknown>>;
  readonly #options: FieldsOptions;

  constructor(value: unknown, options: FieldsOptions) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw options.refuse(`${options.what} is not an object`);
    this.#record = value as Record<string, unknown>;
    this.#options = options;
  }

  /** The fields of a file's bytes. */
  static parse(bytes: Uint8Array, options: FieldsOptions): Fields {
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    } catch (cause) {
      throw options.refuse(`${options.what} is not JSON`, cause);
    }
    return new Fields(value, options);
  }

  string(name: string, maxLength = 4096): string {
    const value = this.#own(name);
    if (typeof value !== 'string' || value.length > maxLength) throw this.#wrong(name, 'a string');
    return value;
  }

  optionalString(name: string, maxLength = 4096): string | undefined {
    return this.has(name) ? this.string(name, maxLength) : undefined;
  }

  integer(name: string, min: number, max = Number.MAX_SAFE_INTEGER): number {
    const value = this.#own(name);
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max)
      throw this.#wrong(name, `an integer from ${min} to ${max}`);
    return value;
  }

  optionalInteger(name: string, min: number, max?: number): number | undefined {
    return this.has(name) ? this.integer(name, min, max) : undefined;
  }

  /** Finite, and within the bounds. */
  number(name: string, bounds: Bounds): number {
    const value = this.#own(name);
    if (!isWithin(value, bounds))
      throw this.#wrong(name, `a number from ${bounds.min} to ${bounds.max}`);
    return value;
  }

  optionalNumber(name: string, bounds: Bounds): number | undefined {
    return this.has(name) ? this.number(name, bounds) : undefined;
  }

  numbers(name: string, maxCount: number, bounds: Bounds): number[] {
    return this.#list(name, maxCount).map((item) => {
      if (!isWithin(item, bounds))
        throw this.#wrong(name, `a list of numbers from ${bounds.min} to ${bounds.max}`);
      return item;
    });
  }

  boolean(name: string): boolean {
    const value = this.#own(name);
    if (typeof value !== 'boolean') throw this.#wrong(name, 'true or false');
    return value;
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T {
    const value = this.#own(name);
    const found = allowed.find((candidate) => candidate === value);
    if (found === undefined) throw this.#wrong(name, allowed.join(' or '));
    return found;
  }

  /** A string of a checked form, such as an identifier or a digest. */
  matching(name: string, pattern: RegExp): string {
    const value = this.string(name);
    if (!pattern.test(value)) throw this.#wrong(name, `of the form ${pattern.source}`);
    return value;
  }

  /** Bytes as lower-case hex, at most `maxBytes` of them. */
  bytes(name: string, maxBytes: number): Buffer {
    const text = this.string(name, 2 * maxBytes);
    if (!/^(?:[0-9a-f]{2})*$/.test(text)) throw this.#wrong(name, 'in hex');
    return Buffer.from(text, 'hex');
  }

  /** Exactly `count` bytes as lower-case hex. */
  exactBytes(name: string, count: number): Buffer {
    const bytes = this.bytes(name, count);
    if (bytes.length !== count) throw this.#wrong(name, `${count} bytes in hex`);
    return bytes;
  }

  /** An RFC 3339 time as `Date.toISOString` writes it. */
  time(name: string): string {
    const value = this.string(name, 30);
    const time = new Date(value);
    if (Number.isNaN(time.getTime()) || time.toISOString() !== value)
      throw this.#wrong(name, 'a time');
    return value;
  }

  /** The field as what `isValid` says it is. */
  checked<T>(name: string, isValid: (value: unknown) => value is T): T {
    const value = this.#own(name);
    if (!isValid(value)) throw this.#wrong(name, 'valid');
    return value;
  }

  strings(name: string, maxCount: number, maxLength = 131_072): string[] {
    return this.#list(name, maxCount).map((item) => {
      if (typeof item !== 'string' || item.length > maxLength)
        throw this.#wrong(name, 'a list of strings');
      return item;
    });
  }

  /** A list of what `isValid` says they are. */
  checkedList<T>(name: string, isValid: (value: unknown) => value is T, maxCount: number): T[] {
    const list = this.#list(name, maxCount);
    if (!list.every(isValid)) throw this.#wrong(name, 'valid');
    return list;
  }

  /** Integers from `min` on. */
  integers(name: string, maxCount: number, min: number): number[] {
    return this.#list(name, maxCount).map((item) => {
      if (typeof item !== 'number' || !Number.isSafeInteger(item) || item < min)
        throw this.#wrong(name, `a list of integers from ${min} on`);
      return item;
    });
  }

  objects(name: string, maxCount: number): Fields[] {
    return this.#list(name, maxCount).map((item) => new Fields(item, this.#within(name)));
  }

  object(name: string): Fields {
    return new Fields(this.#own(name), this.#within(name));
  }

  /** Whatever is there, for a parser of its own. */
  raw(name: string): unknown {
    return this.#own(name);
  }

  /** A map of strings; keys such as `__proto__` stay plain keys. */
  stringMap(name: string, maxCount: number): Map<string, string> {
    const value = this.#own(name);
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.#wrong(name, 'an object');
    const pairs = Object.entries(value as Record<string, unknown>);
    if (pairs.length > maxCount) throw this.#wrong(name, `at most ${maxCount} long`);
    return new Map(
      pairs.map(([key, item]) => {
        if (typeof item !== 'string') throw this.#wrong(name, 'an object of strings');
        return [key, item];
      }),
    );
  }

  /** True where the field is there and not null. */
  has(name: string): boolean {
    const value = this.#own(name);
    return value !== undefined && value !== null;
  }

  #within(name: string): FieldsOptions {
    return { ...this.#options, what: `${this.#options.what}.${name}` };
  }

  #own(name: string): unknown {
    return Object.hasOwn(this.#record, name) ? this.#record[name] : undefined;
  }

  #list(name: string, maxCount: number): unknown[] {
    const value = this.#own(name);
    if (!Array.isArray(value) || value.length > maxCount)
      throw this.#wrong(name, `a list of at most ${maxCount}`);
    return value as unknown[];
  }

  #wrong(name: string, expected: string): Error {
    return this.#options.refuse(`${this.#options.what}: ${printable(name)} is not ${expected}`);
  }
}

function isWithin(value: unknown, { min, max }: Bounds): value is number {
  return typeof value === 'number' && value >= min && value <= max;
}
