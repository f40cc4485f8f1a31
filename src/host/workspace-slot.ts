/** A slot on disk: the workspace's directory and, apart from it, what we remember of it. */
import {
  chmodSync,
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmSync,
  unlinkSync,
  utimesSync,
} from 'node:fs';
import path from 'node:path';
import { randomBytes } from 'node:crypto';
import { systemErrorCode } from '../errors.js';
import { loadEntryTable, saveEntryTable } from '../sync/entry-table-file.js';
import type { EntryTable } from '../sync/entry-table.js';
import { PRIVATE_FILE_MODE, ensurePrivateDirectory } from '../util/atomic-file.js';
import { mtimeUsOf, nowUs, toUtimesSeconds } from '../util/microseconds.js';
import { SAFE_CREATE_FLAGS } from '../util/safe-path.js';

const INDEX = 'index';
const LAST_RUN = 'last-run';
const STAGING = 'staging';
const OWNER = 0o700;
/** What a project's directory mostly has. Nobody else gets here: the directories above are ours alone. */
const WORKSPACE_MODE = 0o755;

/** By device. */
const caseInsensitive = new Map<number, boolean>();

export class WorkspaceSlot {
  readonly #directory: string;
  readonly #workspacePath: string;
  #saved: EntryTable | undefined;

  constructor(directory: string, workspacePath: string) {
    this.#directory = directory;
    this.#workspacePath = workspacePath;
    ensurePrivateDirectory(directory);
  }

  get stagingDirectory(): string {
    return path.join(this.#directory, STAGING);
  }

  /** Removes files that a crash left on their way. */
  clearStaging(): void {
    rmSync(this.stagingDirectory, { recursive: true, force: true });
  }

  /**
   * Makes sure that the workspace is a directory that we can work in. A command may have removed it, or
   * put a link in its place, which must never be followed.
   */
  ensureWorkspace(): string {
    const found = lstatSync(this.#workspacePath, { throwIfNoEntry: false });
    if (found !== undefined && !found.isDirectory()) unlinkSync(this.#workspacePath);
    if (found?.isDirectory() !== true) mkdirSync(this.#workspacePath, { mode: WORKSPACE_MODE });
    else if ((found.mode & OWNER) !== OWNER) chmodSync(this.#workspacePath, WORKSPACE_MODE);
    return this.#workspacePath;
  }

  /** Undefined where there is none. A damaged one counts as none: all that is lost is time. */
  loadIndex(): EntryTable | undefined {
    this.#saved = loadEntryTable(path.join(this.#directory, INDEX));
    return this.#saved;
  }

  /** Writes the index unless it is the very table that is on disk. */
  saveIndex(table: EntryTable): void {
    if (table === this.#saved) return;
    saveEntryTable(path.join(this.#directory, INDEX), table);
    this.#saved = table;
  }

  /**
   * The host's clock when the last run was over: nothing that it built is newer. Now, where a run was cut
   * off; undefined where none has been.
   */
  lastRunUs(): number | undefined {
    const stats = lstatSync(path.join(this.#directory, LAST_RUN), { throwIfNoEntry: false });
    if (stats !== undefined) return mtimeUsOf(stats);
    return this.#saved === undefined ? undefined : nowUs();
  }

  markRunning(): void {
    rmSync(path.join(this.#directory, LAST_RUN), { force: true });
  }

  markRunOver(): void {
    const file = path.join(this.#directory, LAST_RUN);
    closeSync(openSync(file, 'a', PRIVATE_FILE_MODE));
    const seconds = toUtimesSeconds(nowUs());
    utimesSync(file, seconds, seconds);
  }

  /** Asks the workspace's file system, once, whether two names that differ in case are the same to it. */
  isCaseInsensitive(): boolean {
    const { dev } = lstatSync(this.#workspacePath);
    const known = caseInsensitive.get(dev);
    if (known !== undefined) return known;
    const found = this.#probeCase();
    caseInsensitive.set(dev, found);
    return found;
  }

  #probeCase(): boolean {
    const name = `.rmtx-probe-${randomBytes(6).toString('hex')}`;
    const probe = path.join(this.#workspacePath, name);
    closeSync(openSync(probe, SAFE_CREATE_FLAGS, PRIVATE_FILE_MODE));
    try {
      lstatSync(path.join(this.#workspacePath, name.toUpperCase()));
      return true;
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
      return false;
    } finally {
      unlinkSync(probe);
    }
  }
}
