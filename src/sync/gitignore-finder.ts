import { pathFromBytes } from '../util/path-bytes.js';
import type { AnchoredRoot } from '../util/safe-path.js';
import { ctimeUsOf, mtimeUsOf } from '../util/microseconds.js';
import type { Problem, WorkspacePath } from './entry.js';
import { isGone, unreadableProblem } from './fresh-entry.js';
import type { GitignoreSource } from './gitignore.js';
import { readFileAt } from './hash-file.js';
import type { SyncRules } from './rules.js';
import type { FileSignature, ScanState } from './scan-state.js';

const NAME = '.gitignore';
/** Git's own limit is 100 MB; the text is held in memory and sent to the host. */
const MAX_TEXT_BYTES = 4 * 1024 * 1024;

interface KnownFile extends FileSignature {
  readonly text: string;
}

/** Finds the .gitignore files of a tree while it is walked, reading only those that are new. */
export class GitignoreFinder {
  readonly problems: Problem[] = [];
  /** Of the files found, in the order in which they were added to the rules. */
  readonly signatures: FileSignature[] = [];
  readonly #root: AnchoredRoot;
  readonly #rules: SyncRules;
  readonly #known = new Map<string, KnownFile>();
  #hasChanged = false;

  constructor(root: AnchoredRoot, rules: SyncRules, previous: ScanState | undefined) {
    this.#root = root;
    this.#rules = rules;
    const signatures = previous?.gitignoreSignatures ?? [];
    const sources = foundSources(previous);
    for (const [index, { directory, text }] of sources.entries()) {
      const signature = signatures[index];
      if (signature !== undefined) this.#known.set(directory, { ...signature, text });
    }
  }

  /** True when the files found are not those of the previous scan, or have other signatures. */
  get hasChanged(): boolean {
    return this.#hasChanged || this.signatures.length !== this.#known.size;
  }

  /**
   * Looks for the file of this directory and adds it to the rules. True when it says the same as at the
   * previous scan, also by not being there. `mayBeThere` is false where a listing does not name it.
   */
  enter(directory: string, mayBeThere: boolean): boolean {
    // Of a tree that is walked, so it is a path of it.
    const path = (directory === '' ? NAME : `${directory}/${NAME}`) as WorkspacePath;
    const known = this.#known.get(directory);
    const found = mayBeThere ? this.#find(path, known) : undefined;
    if (found !== known) this.#hasChanged = true;
    if (found === undefined) return known === undefined;
    const { text, size, signature } = found;
    this.#rules.addGitignore({ directory, source: path, text });
    this.signatures.push({ size, signature });
    return text === known?.text;
  }

  #find(path: WorkspacePath, known: KnownFile | undefined): KnownFile | undefined {
    try {
      if (known !== undefined && this.#isUntouched(path, known)) return known;
      const read = readFileAt(this.#root, path, MAX_TEXT_BYTES);
      if (read === undefined && this.#root.lstat(path)?.isSymbolicLink() === true)
        this.#report(path, 'is a link, which is not followed here (nor by git)');
      if (read === 'too-large') this.#report(path, 'is too large to be read as .gitignore');
      if (read === undefined || read === 'too-large') return undefined;
      return { text: pathFromBytes(read.bytes), size: read.size, signature: read.signature };
    } catch (error) {
      if (!isGone(error)) this.#report(path, unreadableProblem(path, error).message);
      return undefined;
    }
  }

  #isUntouched(path: string, { size, signature }: KnownFile): boolean {
    const stats = this.#root.lstat(path);
    return (
      stats?.isFile() === true &&
      !signature.isRacy &&
      stats.size === size &&
      stats.ino === signature.ino &&
      mtimeUsOf(stats) === signature.mtimeUs &&
      ctimeUsOf(stats) === signature.ctimeUs
    );
  }

  #report(path: WorkspacePath, what: string): void {
    const message = `${what}, so what it ignores is not known`;
    this.problems.push({ path, code: 'unreadable', message });
  }
}

function foundSources(state: ScanState | undefined): readonly GitignoreSource[] {
  const all = state?.rules?.gitignore ?? [];
  return all.slice(all.length - (state?.gitignoreSignatures.length ?? 0));
}
