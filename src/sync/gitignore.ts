/**
 * Which paths git ignores, by the rules of gitignore(5): the deepest file that says something decides,
 * in it the last line that matches. The package `ignore` knows the lines; here is what spans several
 * files, and what a walk needs: the answer for one path, its parents being judged already.
 */
import type ignorePackage from 'ignore';
import type { Ignore, Options, TestResult } from 'ignore';
import { parentOf } from './entry.js';
import { pathFromBytes, pathToBytes } from '../util/path-bytes.js';

/** One file of ignore lines. */
export interface GitignoreSource {
  /** The directory its lines are about, relative to the project root; '' is the root. */
  readonly directory: string;
  /** What to call it: its path, or where it is outside the project. */
  readonly source: string;
  readonly text: string;
  /**
   * For a file that is about a directory above the project: the project root's path from there, as in
   * `packages/app`. `directory` is '' then.
   */
  readonly prefix?: string;
}

export interface GitignoreMatch {
  readonly isIgnored: boolean;
  /** The line, where it ignores. */
  readonly rule: string;
  readonly source: string;
}

/** The ignore files of one tree. Compiles, and loads the package, when first asked. */
export class Gitignore {
  readonly #ignorecase: boolean;
  readonly #files = new Map<string, IgnoreFile[]>();
  /** The files that count in one directory, the deciding first; a walk asks for its neighbours next. */
  #chain: { readonly directory: string; readonly files: readonly IgnoreFile[] } | undefined;

  constructor(options: { readonly isCaseInsensitive: boolean }) {
    this.#ignorecase = options.isCaseInsensitive;
  }

  /** Of two files for one directory the later added decides first. */
  add(source: GitignoreSource): void {
    const file = new IgnoreFile(source, this.#ignorecase);
    const known = this.#files.get(source.directory);
    if (known === undefined) this.#files.set(source.directory, [file]);
    else known.push(file);
    this.#chain = undefined;
  }

  /**
   * What the lines say about this path itself, or undefined where none does. A path below an ignored
   * directory is ignored whatever they say: that is for the caller, who does not enter it.
   */
  match(path: string, isDirectory: boolean): GitignoreMatch | undefined {
    for (const file of this.#filesFor(parentOf(path))) {
      const match = file.match(path, isDirectory);
      if (match !== undefined) return match;
    }
    return undefined;
  }

  #filesFor(directory: string): readonly IgnoreFile[] {
    if (this.#chain?.directory === directory) return this.#chain.files;
    const files: IgnoreFile[] = [];
    for (let at = directory; ; at = parentOf(at)) {
      files.push(...(this.#files.get(at) ?? []).toReversed());
      if (at === '') break;
    }
    this.#chain = { directory, files };
    return files;
  }
}

/** The package remembers every path it was asked for: 250,000 of them would be 100 MB. */
const MAX_REMEMBERED = 2000;

class IgnoreFile {
  readonly #source: GitignoreSource;
  readonly #options: Options;
  readonly #skip: number;
  readonly #prefix: string;
  #ignore: Ignore | undefined;
  #asked = 0;
  /** The lines, and that they do not exclude the directories on the way to one directory. */
  #reincluded: { readonly directory: string; readonly ignore: Ignore } | undefined;

  constructor(source: GitignoreSource, ignorecase: boolean) {
    this.#source = source;
    this.#options = { ignorecase };
    this.#skip = source.directory === '' ? 0 : source.directory.length + 1;
    this.#prefix = source.prefix === undefined ? '' : `${source.prefix}/`;
  }

  match(path: string, isDirectory: boolean): GitignoreMatch | undefined {
    const relative = this.#prefix + path.slice(this.#skip);
    const result = this.#test(toByteText(isDirectory ? `${relative}/` : relative));
    if (!result.ignored && !result.unignored) return undefined;
    const rule = fromByteText(result.rule?.pattern ?? '');
    return { isIgnored: result.ignored, rule, source: this.#source.source };
  }

  #test(relative: string): TestResult {
    try {
      return this.#testLines(relative);
    } catch {
      // A line that the package cannot compile, such as one of a megabyte, fails every question.
      const lines = readableText(this.#source.text).split('\n').filter(canCompile);
      this.#ignore = createIgnore(this.#options).add(lines.join('\n'));
      this.#reincluded = undefined;
      return this.#testLines(relative);
    }
  }

  #testLines(relative: string): TestResult {
    const ignore = this.#lines();
    const result = ignore.test(relative);
    if (!result.ignored) return result;
    // The package judges the parents by this one file. Where it excludes one, a deeper file must have
    // taken that back, since nobody would ask otherwise; then only the path itself counts.
    const parent = parentOf(relative.endsWith('/') ? relative.slice(0, -1) : relative);
    if (parent === '' || !ignore.test(`${parent}/`).ignored) return result;
    return this.#withParentsIncluded(parent).test(relative);
  }

  #withParentsIncluded(directory: string): Ignore {
    if (this.#reincluded?.directory === directory) return this.#reincluded.ignore;
    const lines: string[] = [];
    for (let above = directory; above !== ''; above = parentOf(above))
      lines.unshift(`!/${quote(above)}/`);
    const ignore = createIgnore(this.#options).add(this.#lines());
    // As objects: a newline in a name is not the end of a line.
    ignore.add(lines.map((pattern) => ({ pattern })));
    this.#reincluded = { directory, ignore };
    return ignore;
  }

  #lines(): Ignore {
    if (this.#ignore === undefined) {
      this.#ignore = createIgnore(this.#options).add(readableText(this.#source.text));
      // A file above that ignores the whole project says nothing of use about what is in it.
      if (this.#prefix !== '' && this.#ignore.ignores(toByteText(this.#prefix)))
        this.#ignore = createIgnore(this.#options);
    } else if (++this.#asked > MAX_REMEMBERED) {
      this.#ignore = createIgnore(this.#options).add(this.#ignore);
      this.#asked = 0;
    }
    return this.#ignore;
  }
}

function createIgnore(options: Options): Ignore {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- 12 ms, and a scan in which nothing is new asks nothing
  const factory = require('ignore') as typeof ignorePackage;
  return factory(options);
}

/** As git reads them: a byte order mark is skipped, a NUL ends a line early. */
function readableText(text: string): string {
  const withoutMark = text.startsWith('\uFEFF') ? text.slice(1) : text;
  return toByteText(withoutMark.replace(/\0[^\n]*/g, ''));
}

function canCompile(line: string): boolean {
  try {
    createIgnore({}).add(line).ignores('a/b');
    return true;
  } catch {
    return false;
  }
}

function quote(name: string): string {
  return name.replace(/[\\*?[\]!# ]/g, String.raw`\$&`);
}

// Git matches bytes: `?` is one byte of a name, and case is folded in ASCII only. So every byte that is
// not ASCII becomes one character without a case, in the private use area.
const BYTE_BASE = 0xe100;
const NOT_ASCII = /[^\0-\x7f]/;
const BYTE_TEXT = /[\ue180-\ue1ff]/;

function toByteText(text: string): string {
  if (!NOT_ASCII.test(text)) return text;
  let out = '';
  for (const byte of pathToBytes(text))
    out += String.fromCharCode(byte < 0x80 ? byte : BYTE_BASE + byte);
  return out;
}

function fromByteText(text: string): string {
  if (!BYTE_TEXT.test(text)) return text;
  return pathFromBytes(Buffer.from(text, 'latin1'));
}
