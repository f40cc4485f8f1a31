/**
 * Names that a scan met and did not sync, remembered for the next one: without them each scan would ask
 * the rules about every build directory again. By directory, kinds and names in one string.
 */
import type { NameKind } from './walk.js';

const codes = { file: 'f', directory: 'd', symlink: 'l', special: 's' } as const;
/** In no name. */
const SEPARATOR = '/';
/** About 10 MB; the names beyond are judged at each scan. */
const MAX_NAMES = 100_000;

/** The names of one directory, asked for and added in walk order. */
export class LeftOutNames {
  readonly #known: readonly string[];
  readonly #now: string[] = [];
  #next = 0;

  constructor(packed: string | undefined) {
    this.#known = packed === undefined ? [] : packed.split(SEPARATOR);
  }

  get count(): number {
    return this.#now.length;
  }

  /** True when the previous scan left out this name and it was of this kind. */
  has(name: string, kind: NameKind): boolean {
    for (; this.#next < this.#known.length; this.#next++) {
      const known = this.#known[this.#next] ?? '';
      const order = known.length - 1 - name.length;
      if (order === 0 && known.endsWith(name)) return known.startsWith(codes[kind]);
      if (known.slice(1) > name) return false;
    }
    return false;
  }

  add(name: string, kind: NameKind): void {
    this.#now.push(codes[kind] + name);
  }

  pack(): string | undefined {
    return this.#now.length === 0 ? undefined : this.#now.join(SEPARATOR);
  }
}

/** The names of a whole tree, of the previous scan and of this one. */
export class LeftOut {
  readonly #known: ReadonlyMap<string, string>;
  readonly #now = new Map<string, string>();
  #count = 0;
  #hasChanged = false;

  constructor(known: ReadonlyMap<string, string> = new Map()) {
    this.#known = known;
  }

  /** `isTrusted` is false where the rules have changed: then nothing is known. */
  open(directory: string, isTrusted: boolean): LeftOutNames {
    return new LeftOutNames(isTrusted ? this.#known.get(directory) : undefined);
  }

  close(directory: string, names: LeftOutNames): void {
    this.#count += names.count;
    const packed = this.#count > MAX_NAMES ? undefined : names.pack();
    if (packed !== this.#known.get(directory)) this.#hasChanged = true;
    if (packed !== undefined) this.#now.set(directory, packed);
  }

  /** The previous map itself where nothing is different. */
  finish(): ReadonlyMap<string, string> {
    return this.#hasChanged || this.#now.size !== this.#known.size ? this.#now : this.#known;
  }
}
