/**
 * The one pattern language of `ignore`, `exclude`, `sync_back` and `keep_on_host`. A pattern is anchored
 * at the project root and names a path and all that lies below it: `*` and `?` stay within one name,
 * `[..]` is a class, `**` is any number of directories, `\` quotes. `dir/**` names `dir` itself, too.
 *
 * The cost of a path is at most its length times the pattern's, whatever the pattern: no matcher here
 * backtracks, so a project from a stranger cannot hang a scan with stars.
 */
import { isWithin, parentOf } from './entry.js';
import { compileName } from './name-pattern.js';
import type { NameMatcher } from './name-pattern.js';

export interface PatternListOptions {
  /**
   * What `dir/` names: in `ignore` and `exclude` a directory only, as in .gitignore; in `sync_back` and
   * `keep_on_host` whatever stands there, since a directory on one side may be a link on the other.
   */
  readonly slashMeans: 'directory' | 'anything';
}

interface CompiledPattern {
  readonly text: string;
  /** Without wildcards: the path itself. '' is everything. */
  readonly literal: string | undefined;
  readonly parts: readonly (NameMatcher | typeof ANY_DEPTH)[];
  readonly isDirectoryOnly: boolean;
}

/** Says for a directory on the way whether `**` may stand for it. */
export type IsOpen = (directory: string) => boolean;

const ANY_DEPTH = Symbol('**');

/** The pattern that means exactly this path and all below it. */
export function quotePattern(path: string): string {
  return path.replace(/[\\*?[]/g, '\\$&');
}

/** Patterns compiled once and asked for many paths. */
export class PatternList {
  readonly #literals = new Map<string, CompiledPattern>();
  readonly #globs: CompiledPattern[] = [];

  constructor(patterns: readonly string[], options: PatternListOptions) {
    for (const text of patterns) {
      const pattern = compile(text, options);
      if (pattern === undefined) continue;
      if (pattern.literal === undefined) this.#globs.push(pattern);
      // Of `dir` and `dir/` the one that names more counts.
      else if (this.#literals.get(pattern.literal)?.isDirectoryOnly ?? true)
        this.#literals.set(pattern.literal, pattern);
    }
  }

  get isEmpty(): boolean {
    return this.#literals.size === 0 && this.#globs.length === 0;
  }

  /** The pattern that names exactly this path, not merely a directory it lies in. */
  find(path: string, isDirectory: boolean): string | undefined {
    if (this.isEmpty) return undefined;
    const literal = this.#literals.get(path) ?? this.#literals.get('');
    if (literal !== undefined && (isDirectory || !literal.isDirectoryOnly)) return literal.text;
    if (this.#globs.length === 0) return undefined;
    const names = path.split('/');
    const name = names.at(-1) ?? '';
    return this.#globs.find((pattern) => {
      if (pattern.isDirectoryOnly && !isDirectory) return false;
      // The last part decides alone for most.
      const last = pattern.parts.at(-1);
      if (last !== ANY_DEPTH && last?.matches(name) !== true) return false;
      return matchParts(pattern.parts, names).isNamed;
    })?.text;
  }

  /** True when a pattern names this path or a directory it lies in. */
  covers(path: string, isOpen?: IsOpen): boolean {
    if (this.isEmpty) return false;
    if (this.#literals.has('')) return true;
    for (let at = path; at !== ''; at = parentOf(at)) if (this.#literals.has(at)) return true;
    if (this.#globs.length === 0) return false;
    const names = namesOf(path);
    return this.#globs.some((pattern) => matchParts(pattern.parts, names, isOpen).isCovered);
  }

  /** {@link covers} for any of these names in a directory, at the cost of one question a directory. */
  coversAny(directory: string, names: readonly string[]): boolean {
    if (this.isEmpty) return false;
    if (this.covers(directory)) return true;
    for (const literal of this.#literals.keys())
      if (
        parentOf(literal) === directory &&
        names.includes(literal.slice(literal.lastIndexOf('/') + 1))
      )
        return true;
    if (this.#globs.length === 0) return false;
    const above = namesOf(directory);
    return this.#globs.some(({ parts }) => {
      const { at } = matchParts(parts, above);
      // Patterns never end with `**`, so the last part decides.
      const last = parts.at(-1);
      if (at[parts.length - 1] !== true || last === undefined || last === ANY_DEPTH) return false;
      return names.some((name) => last.matches(name));
    });
  }

  /** False when surely no path at or below this directory is named. */
  canReach(directory: string, isOpen?: IsOpen): boolean {
    for (const literal of this.#literals.keys())
      if (isWithin(literal, directory) || isWithin(directory, literal)) return true;
    if (this.#globs.length === 0) return false;
    const names = namesOf(directory);
    return this.#globs.some(({ parts }) => {
      const match = matchParts(parts, names, isOpen);
      return match.isCovered || match.at.includes(true);
    });
  }
}

function namesOf(path: string): string[] {
  return path === '' ? [] : path.split('/');
}

/** True for `.`, `/`, `**` and the like. */
export function namesEverything(pattern: string): boolean {
  return compile(pattern, { slashMeans: 'anything' })?.literal === '';
}

/** Undefined for a pattern that names nothing. */
function compile(text: string, options: PatternListOptions): CompiledPattern | undefined {
  if (text === '') return undefined;
  const names = text.split('/').filter((name) => name !== '' && name !== '.');
  if (names.includes('..')) return undefined;
  // At the end it only says "and all below", which every pattern means.
  const end = names.findLastIndex((name) => name !== '**') + 1;
  const hasSlash = end === names.length && /\/\.?$/.test(text);
  const parts = names.slice(0, end).map((name) => (name === '**' ? ANY_DEPTH : compileName(name)));
  const literals = parts.map((part) => (part === ANY_DEPTH ? undefined : part.literal));
  const literal = literals.includes(undefined) ? undefined : literals.join('/');
  const isDirectoryOnly = hasSlash && literal !== '' && options.slashMeans === 'directory';
  return { text, literal, parts, isDirectoryOnly };
}

interface PartsMatch {
  readonly isNamed: boolean;
  /** The path or a directory it lies in is named. */
  readonly isCovered: boolean;
  /** Where the parts are after the last name: `at[i]` says that the first `i` may be used up. */
  readonly at: readonly boolean[];
}

/**
 * Follows every way to lay the parts over the names at once. `**` stands for as many directories as it likes, but for none that is not open.
 */
function matchParts(
  parts: CompiledPattern['parts'],
  names: readonly string[],
  isOpen?: IsOpen,
): PartsMatch {
  let at = skipAnyDepth(parts, [true]);
  let isCovered = false;
  for (const [index, name] of names.entries()) {
    const next: boolean[] = [];
    for (const [used, part] of parts.entries()) {
      if (at[used] !== true) continue;
      if (part !== ANY_DEPTH) {
        if (part.matches(name)) next[used + 1] = true;
      } else if (isOpen === undefined || isOpen(names.slice(0, index + 1).join('/'))) {
        next[used] = true;
      }
    }
    at = skipAnyDepth(parts, next);
    isCovered ||= at[parts.length] === true;
  }
  return { isNamed: at[parts.length] === true, isCovered, at };
}

/** `**` may stand for no directory at all. */
function skipAnyDepth(parts: CompiledPattern['parts'], at: boolean[]): boolean[] {
  for (const [used, part] of parts.entries())
    if (at[used] === true && part === ANY_DEPTH) at[used + 1] = true;
  return at;
}
