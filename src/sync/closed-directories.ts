import { chmodSync } from 'node:fs';
import { systemErrorCode } from '../errors.js';
import type { AnchoredRoot } from '../util/safe-path.js';

const OWNER = 0o700;

/**
 * Directories whose modes would keep their owner from the work to be done in them: Go's module cache, Nix
 * and Bazel make such. They are opened when they turn out to be in the way, and get their modes at the end.
 */
export class ClosedDirectories {
  readonly #root: AnchoredRoot;
  /** By path, the mode to give. */
  readonly #modes = new Map<string, number>();

  constructor(root: AnchoredRoot) {
    this.#root = root;
  }

  /** Opens the closed ones above a path. Returns whether there were any: if not, trying again is of no use. */
  openAbove(path: string): boolean {
    let hasOpened = false;
    this.#root.forget();
    for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1))
      if (this.open(path.slice(0, slash))) hasOpened = true;
    return hasOpened;
  }

  /** Opens one for the time being, if it is closed; those above it are open. Returns whether it was closed. */
  open(directory: string): boolean {
    const stats = this.#root.lstat(directory);
    if (stats?.isDirectory() !== true || (stats.mode & OWNER) === OWNER) return false;
    const mode = stats.mode & 0o777;
    chmodSync(this.#root.at(directory), mode | OWNER);
    if (!this.#modes.has(directory)) this.#modes.set(directory, mode);
    return true;
  }

  /** Has a mode given at the end, or undefined: it keeps the one it has. */
  setMode(directory: string, mode: number | undefined): void {
    if (mode === undefined) this.#modes.delete(directory);
    else this.#modes.set(directory, mode);
  }

  /** Gives each its mode. */
  close(): void {
    // The deepest first: in a closed one nothing below could be reached.
    const inOrder = [...this.#modes].sort((a, b) => b[0].length - a[0].length);
    for (const [directory, mode] of inOrder)
      if (this.#root.lstat(directory)?.isDirectory() === true)
        chmodSync(this.#root.at(directory), mode);
    this.#modes.clear();
  }
}

/** True for the errors that a closed directory causes. */
export function isClosedError(error: unknown): boolean {
  return ['EACCES', 'EPERM'].includes(systemErrorCode(error) ?? '');
}

/** True for a mode that {@link ClosedDirectories} has to deal with. */
export function isClosedMode(mode: number): boolean {
  return (mode & OWNER) !== OWNER;
}
