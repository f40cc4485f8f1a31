import type * as micromatchPackage from 'micromatch';

/** Patterns for one name, without '/': see `patterns.ts` for the language. */

export interface NameMatcher {
  /** The name itself where the pattern has no wildcard. */
  readonly literal: string | undefined;
  matches(name: string): boolean;
}

/** What stands between two stars: it matches texts of one length only. */
interface Piece {
  readonly length: number;
  matches(text: string): boolean;
}

/** A piece as it is read: its glob for micromatch, or its text where nothing in it is special. */
interface PieceSource {
  glob: string;
  text: string;
  length: number;
  isLiteral: boolean;
}

export function compileName(pattern: string): NameMatcher {
  const sources = readPieces(pattern);
  const [first = newSource()] = sources;
  if (sources.length === 1 && first.isLiteral)
    return { literal: first.text, matches: (name) => name === first.text };
  const pieces = sources.map(compilePiece);
  // A name such as `[slug]` or `(group)*` is often meant as it is written.
  return { literal: undefined, matches: (name) => name === pattern || matchPieces(pieces, name) };
}

/**
 * The first piece must stand at the start and the last at the end; each between them is taken where it
 * fits first, which leaves the most room for the rest. So no star is ever tried twice.
 */
function matchPieces(pieces: readonly Piece[], name: string): boolean {
  const first = pieces[0];
  const last = pieces.at(-1);
  if (first === undefined || last === undefined) return false;
  if (pieces.length === 1) return name.length === first.length && first.matches(name);
  if (name.length < first.length + last.length) return false;
  if (!first.matches(name.slice(0, first.length))) return false;
  const end = name.length - last.length;
  if (!last.matches(name.slice(end))) return false;
  let position = first.length;
  for (const piece of pieces.slice(1, -1)) {
    while (position + piece.length <= end) {
      if (piece.matches(name.slice(position, position + piece.length))) break;
      position += 1;
    }
    position += piece.length;
    if (position > end) return false;
  }
  return true;
}

function compilePiece(source: PieceSource): Piece {
  const { length, text } = source;
  if (source.isLiteral) return { length, matches: (candidate) => candidate === text };
  let isMatch: ((candidate: string) => boolean) | undefined;
  // Compiled when first asked: a scan in which nothing is new asks nothing.
  return {
    length,
    matches: (candidate) =>
      (isMatch ??= micromatch().matcher(source.glob, matcherOptions))(candidate),
  };
}

const matcherOptions = {
  dot: true,
  noextglob: true,
  nonegate: true,
  nobrace: true,
};

/** 14 ms to load, and only classes and `?` need it. */
function micromatch(): typeof micromatchPackage {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- loaded when first needed
  return require('micromatch') as typeof micromatchPackage;
}

function readPieces(pattern: string): PieceSource[] {
  const pieces: PieceSource[] = [];
  let piece = newSource();
  let index = 0;
  while (index < pattern.length) {
    const character = pattern.charAt(index);
    const classEnd = character === '[' ? endOfClass(pattern, index) : -1;
    if (character === '*') {
      while (pattern[index + 1] === '*') index += 1;
      pieces.push(piece);
      piece = newSource();
    } else if (character === '?') {
      addWildcard(piece, '?');
    } else if (classEnd > 0) {
      addWildcard(piece, classGlob(pattern.slice(index + 1, classEnd)));
      index = classEnd;
    } else {
      // A backslash at the very end stands for itself.
      if (character === '\\' && index + 1 < pattern.length) index += 1;
      addLiteral(piece, pattern.charAt(index));
    }
    index += 1;
  }
  return [...pieces, piece];
}

/** The index of the `]` that closes the class, or -1: then the `[` stands for itself. */
function endOfClass(pattern: string, start: number): number {
  const isNegated = pattern[start + 1] === '!' || pattern[start + 1] === '^';
  const first = start + (isNegated ? 2 : 1);
  // A `]` in the first place is a member.
  for (let index = first; index < pattern.length; index++) {
    if (pattern[index] === '\\') index += 1;
    else if (pattern.startsWith('[:', index))
      index = Math.max(index, pattern.indexOf(':]', index) + 1);
    else if (pattern[index] === ']' && index > first) return index;
  }
  // `[!]` is the way to write a name that begins with '!'.
  return isNegated && pattern[first] === ']' ? first : -1;
}

/** `body` is what stands between the brackets. */
function classGlob(body: string): string {
  if (body === '!' || body === '^') return `\\${body}`;
  return `[${body.startsWith('!') ? `^${body.slice(1)}` : body}]`;
}

function newSource(): PieceSource {
  return { glob: '', text: '', length: 0, isLiteral: true };
}

function addWildcard(piece: PieceSource, glob: string): void {
  piece.glob += glob;
  piece.length += 1;
  piece.isLiteral = false;
}

/** Everything but letters, digits and what is not ASCII is quoted: no other syntax exists for us. */
function addLiteral(piece: PieceSource, character: string): void {
  piece.text += character;
  piece.glob += /[\w\u0080-\uffff]/.test(character) ? character : `\\${character}`;
  piece.length += 1;
}
