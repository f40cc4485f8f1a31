/**
 * Reads git's config files (git-config(1), "Syntax") for the few keys that decide what git ignores.
 * No subprocess: `git` takes longer to start than a warm scan does. Conditional includes are not
 * followed: they choose identities far more often than ignore files.
 */
import path from 'node:path';

/** `section.key`, lower case, the subsection kept out: none of our keys has one. */
export type GitConfig = ReadonlyMap<string, string>;

interface Line {
  readonly section: string;
  readonly key: string;
  readonly value: string;
}

const MAX_INCLUDE_DEPTH = 10;

export interface GitConfigReader {
  /** The file's text, or undefined where it cannot be read. */
  readonly readText: (file: string) => string | undefined;
  readonly home: string;
}

/** What the files say together, the later ones winning; a file that is missing says nothing. */
export function readGitConfig(files: readonly string[], reader: GitConfigReader): GitConfig {
  const values = new Map<string, string>();
  for (const file of files) readInto(values, file, { ...reader, depth: 0 });
  return values;
}

/** `~` and `~/…` are the home directory's; anything else is taken from `base`. */
export function expandGitPath(value: string, base: string, home: string): string {
  if (value === '~') return home;
  return value.startsWith('~/') ? path.join(home, value.slice(2)) : path.resolve(base, value);
}

/** Git's reading of a boolean; anything it would refuse is `fallback`. */
export function gitBoolean(value: string | undefined, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (/^(?:true|yes|on)$/i.test(value)) return true;
  if (/^(?:false|no|off|)$/i.test(value)) return false;
  return /^[-+]?\d+$/.test(value) ? Number(value) !== 0 : fallback;
}

function readInto(
  values: Map<string, string>,
  file: string,
  reader: GitConfigReader & { readonly depth: number },
): void {
  const text = reader.readText(file);
  if (text === undefined) return;
  for (const { section, key, value } of parseGitConfig(text)) {
    values.set(`${section}.${key}`, value);
    // Included where it stands: what follows in this file wins over it.
    if (section === 'include' && key === 'path' && reader.depth < MAX_INCLUDE_DEPTH) {
      const included = expandGitPath(value, path.dirname(file), reader.home);
      readInto(values, included, { ...reader, depth: reader.depth + 1 });
    }
  }
}

/** Lines of sections without a subsection. What git would refuse as a syntax error is skipped. */
export function parseGitConfig(text: string): Line[] {
  const lines: Line[] = [];
  let section: string | undefined;
  for (const line of joinContinued(text)) {
    let rest = line.trimStart();
    const header = /^\[\s*([-.\w]+)\s*("(?:[^"\\]|\\.)*")?\s*\]/.exec(rest);
    if (header !== null) {
      section = header[2] === undefined ? header[1]?.toLowerCase() : undefined;
      rest = rest.slice(header[0].length).trimStart();
    }
    const key = /^[A-Za-z][-\w]*/.exec(rest)?.[0];
    if (key === undefined || section === undefined) continue;
    const after = rest.slice(key.length).trimStart();
    // A key alone is a true boolean.
    const value = after.startsWith('=') ? parseValue(after.slice(1)) : 'true';
    lines.push({ section, key: key.toLowerCase(), value });
  }
  return lines;
}

/** A backslash at a line's end joins the next, unless the backslash is itself quoted. */
function joinContinued(text: string): string[] {
  const lines: string[] = [];
  let open = '';
  for (const line of text.replace(/^\uFEFF/, '').split(/\r?\n/)) {
    if (/(?:^|[^\\])(?:\\\\)*\\$/.test(line)) {
      open += line.slice(0, -1);
    } else {
      lines.push(open + line);
      open = '';
    }
  }
  return open === '' ? lines : [...lines, open];
}

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', b: '\b' };

/** Blanks at both ends go, those within quotes stay; `#` and `;` outside quotes begin a comment. */
function parseValue(text: string): string {
  let out = '';
  /** How much of `out` stays when blanks at its end are cut. */
  let kept = 0;
  let isQuoted = false;
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index);
    if (character === '"') {
      isQuoted = !isQuoted;
      kept = out.length;
    } else if (character === '\\') {
      const next = text.charAt(++index);
      out += escapes[next] ?? next;
      kept = out.length;
    } else if (!isQuoted && (character === '#' || character === ';')) {
      break;
    } else if (isQuoted || !/\s/.test(character)) {
      out += character;
      kept = out.length;
    } else if (out !== '') {
      out += character;
    }
  }
  return out.slice(0, kept);
}
