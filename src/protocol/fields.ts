import { RmtxError } from '../errors.js';
import { printable } from '../util/printable.js';

export interface Bounds {
  readonly min: number;
  readonly max: number;
}

/**
 * Typed, bounded reading of one JSON object from a peer. Every getter throws ERR_RMTX_BAD_MESSAGE that
 * names message and field; fields that nobody asks for are ignored, so that a newer peer may add some.
 */
export class Fields {
  readonly #record: Readonly<Record<string, unknown>>;
  readonly #what: string;

  constructor(value: unknown, what: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw badMessage(`${what} is not an object`);
    this.#record = value as Record<string, unknown>;
    this.#what = what;
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

  strings(name: string, maxCount: number, maxLength = 131_072): string[] {
    return this.#list(name, maxCount).map((item) => {
      if (typeof item !== 'string' || item.length > maxLength)
        throw this.#wrong(name, 'a list of strings');
      return item;
    });
  }

  /** What all pass `check`. */
  listOf<T>(name: string, check: (value: unknown) => value is T, maxCount: number): T[] {
    return this.#list(name, maxCount).map((item) => {
      if (!check(item)) throw this.#wrong(name, 'a list of what belongs there');
      return item;
    });
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
    return this.#list(name, maxCount).map((item) => new Fields(item, `${this.#what}.${name}`));
  }

  object(name: string): Fields {
    return new Fields(this.#own(name), `${this.#what}.${name}`);
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

  #own(name: string): unknown {
    return Object.hasOwn(this.#record, name) ? this.#record[name] : undefined;
  }

  #list(name: string, maxCount: number): unknown[] {
    const value = this.#own(name);
    if (!Array.isArray(value) || value.length > maxCount)
      throw this.#wrong(name, `a list of at most ${maxCount}`);
    return value as unknown[];
  }

  #wrong(name: string, expected: string): RmtxError {
    return badMessage(`${this.#what}: ${printable(name)} is not ${expected}`);
  }
}

function isWithin(value: unknown, { min, max }: Bounds): value is number {
  return typeof value === 'number' && value >= min && value <= max;
}

export function badMessage(text: string): RmtxError {
  return new RmtxError('ERR_RMTX_BAD_MESSAGE', `the other side sent something wrong: ${text}`, {
    hint: 'both machines should run the same version of rmtx: compare rmtx version',
  });
}
