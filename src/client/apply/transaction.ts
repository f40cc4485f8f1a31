/**
 * The directory of one transaction, `<home>/stage/<run>.<random>/`, and the states it goes through.
 * Each state is the name of the journal, so that moving on is one rename, which needs no disk space:
 *
 *     (no journal)      staging; the tree is untouched. Left behind: thrown away.
 *     journal           everything is staged, the tree may be half changed. Left behind: finished.
 *     journal.rollback  being taken back. Left behind: taken back.
 *     journal.done      the tree is changed. Left behind: cleaned up.
 *
 * The process that works on it holds its owner lock, so recovery in another process keeps off. A new
 * one gets its name only when it has its owner, so there is no moment in which it looks abandoned.
 */
import { randomBytes } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
} from 'node:fs';
import path from 'node:path';
import { RmtxError, systemErrorCode } from '../../errors.js';
import { STAGE_PREFIX } from '../../sync/own-names.js';
import type { WorkspacePath } from '../../sync/entry.js';
import {
  PRIVATE_DIRECTORY_MODE,
  ensurePrivateDirectory,
  fsyncDirectory,
  readFileIfExists,
  writeFileAtomic,
} from '../../util/atomic-file.js';
import { OwnerLock } from '../../util/owner-lock.js';
import { printable } from '../../util/printable.js';
import { removeTree } from '../../util/remove-tree.js';
import type { AnchoredRoot } from '../../util/safe-path.js';
import { Area, makeTreeArea, removeTreeArea } from './areas.js';
import { decodeJournal, encodeHeader, encodeJournal, parseHeader } from './journal.js';
import type { Journal, TransactionHeader } from './journal.js';
import { stageParent } from './stage-parent.js';
import { UNDO_RECORD_NAME, closeUndoFiles, undoParent } from './undo.js';

export type TransactionState = 'staging' | 'committing' | 'rolling-back' | 'done';

const journalNames = {
  committing: 'journal',
  'rolling-back': 'journal.rollback',
  done: 'journal.done',
} as const;

const HEADER_NAME = 'header';
const FILES_NAME = 'files';
/** A run's id may come from the host and becomes part of file names. */
const RUN_ID = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/;

export interface NewTransaction {
  readonly clientHome: string;
  readonly runId: string;
  readonly projectRoot: string;
  readonly stateDirectory: string;
}

export class Transaction {
  readonly clientHome: string;
  readonly directory: string;
  #header: TransactionHeader;

  private constructor(clientHome: string, directory: string, header: TransactionHeader) {
    this.clientHome = clientHome;
    this.directory = directory;
    this.#header = header;
  }

  /** Starts one, owned by this process. Nothing outside the client's home is touched. */
  static begin(options: NewTransaction): Transaction {
    const { clientHome, runId, projectRoot, stateDirectory } = options;
    if (!RUN_ID.test(runId))
      throw new RmtxError('ERR_RMTX_BAD_MESSAGE', `${printable(runId)} is not the id of a run`);
    const parent = stageParent(clientHome);
    ensurePrivateDirectory(parent);
    const id = `${runId}.${randomBytes(4).toString('hex')}`;
    const header = { runId, projectRoot, stateDirectory, treeAreas: [], undoName: id };
    const unborn = path.join(parent, UNBORN_PREFIX + id);
    mkdirSync(unborn, { mode: PRIVATE_DIRECTORY_MODE });
    OwnerLock.tryAcquire(unborn);
    mkdirSync(path.join(unborn, FILES_NAME), { mode: PRIVATE_DIRECTORY_MODE });
    writeFileAtomic(path.join(unborn, HEADER_NAME), encodeHeader(header));
    const directory = path.join(parent, id);
    renameSync(unborn, directory);
    return new Transaction(clientHome, directory, header);
  }

  /**
   * Takes over a transaction whose process died. Undefined where a live process has it, or another
   * recovery was first. Throws STATE_CORRUPT where not even its header can be read.
   */
  static takeOver(clientHome: string, name: string): Transaction | undefined {
    const directory = path.join(stageParent(clientHome), name);
    try {
      if (OwnerLock.tryAcquire(directory) === undefined) return undefined;
    } catch (error) {
      // Finished and removed since it was listed.
      if (systemErrorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
    const text = readFileIfExists(path.join(directory, HEADER_NAME))?.toString('utf8');
    if (text === undefined && !existsSync(directory)) return undefined;
    const header = text === undefined ? undefined : parseHeader(text);
    if (header === undefined)
      throw new RmtxError('ERR_RMTX_STATE_CORRUPT', `${printable(directory)} has no valid header`);
    return new Transaction(clientHome, directory, header);
  }

  get header(): TransactionHeader {
    return this.#header;
  }

  /** 'gone' once it is finished or discarded. */
  get state(): TransactionState | 'gone' {
    let names: Set<string>;
    try {
      names = new Set(readdirSync(this.directory));
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return 'gone';
      throw error;
    }
    if (names.has(journalNames.done)) return 'done';
    if (names.has(journalNames['rolling-back'])) return 'rolling-back';
    return names.has(journalNames.committing) ? 'committing' : 'staging';
  }

  get undoDirectory(): string {
    return path.join(undoParent(this.clientHome), this.#header.undoName);
  }

  /** Where content is staged for targets on the device of the client's home. */
  get filesDirectory(): string {
    return path.join(this.directory, FILES_NAME);
  }

  /** The area with a number from an operation: 0 is in the client's home. */
  openArea(number: number): Area {
    if (number === 0) return new Area(this.filesDirectory);
    const below = this.#header.treeAreas[number - 1];
    if (below === undefined) throw new Error(`Internal error: there is no stage area ${number}`);
    return new Area(this.#header.projectRoot, below);
  }

  /**
   * Makes a stage area in a directory of the project; returns its number. It is written down before it
   * is made, so that recovery finds it.
   */
  addTreeArea(root: AnchoredRoot, parent: string): number {
    const name = STAGE_PREFIX + path.basename(this.directory);
    const area = (parent === '' ? name : `${parent}/${name}`) as WorkspacePath;
    this.#header = { ...this.#header, treeAreas: [...this.#header.treeAreas, area] };
    writeFileAtomic(path.join(this.directory, HEADER_NAME), encodeHeader(this.#header));
    makeTreeArea(root, area);
    return this.#header.treeAreas.length;
  }

  /**
   * Puts the journal on disk for good: from here on the transaction is carried out or taken back. After
   * an error there is no journal.
   */
  writeJournal(operations: Journal['operations']): Journal {
    const journal = { ...this.#header, operations };
    const file = path.join(this.directory, journalNames.committing);
    // The directory's own name must survive a power cut, too.
    fsyncDirectory(path.dirname(this.directory));
    try {
      writeFileAtomic(file, encodeJournal(journal), { isDurable: true });
    } catch (error) {
      // It may be in place and only not known to be on the disk.
      rmSync(file, { force: true });
      throw error;
    }
    return journal;
  }

  /** Throws STATE_CORRUPT where it is damaged. */
  readJournal(): Journal {
    const state = this.state;
    if (state === 'staging' || state === 'gone')
      throw new Error('Internal error: the transaction has no journal');
    const file = path.join(this.directory, journalNames[state]);
    return decodeJournal(readFileIfExists(file) ?? Buffer.alloc(0));
  }

  /** From 'committing' only. */
  mark(state: 'rolling-back' | 'done'): void {
    renameSync(
      path.join(this.directory, journalNames.committing),
      path.join(this.directory, journalNames[state]),
    );
    try {
      fsyncDirectory(this.directory);
    } catch {
      // A mark that a power cut takes away costs recovery time and nothing else: it compares each path
      // and reads the stage, and comes to the same end.
    }
  }

  /**
   * Cleans up after 'done': the journal becomes the record in the undo directory, the stage goes.
   * Can be done again where it was interrupted.
   */
  async finish(root: AnchoredRoot | undefined): Promise<void> {
    closeUndoFiles(this.undoDirectory);
    this.#keepRecord(journalNames.done);
    await this.#remove(root);
  }

  /**
   * Throws away what was staged, when the tree is as it was before. What could not be put back (somebody
   * changed the path meanwhile) stays in the undo directory, with the record.
   */
  async discard(root: AnchoredRoot | undefined): Promise<void> {
    try {
      rmdirSync(this.undoDirectory);
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') this.#keepRecord(journalNames['rolling-back']);
    }
    await this.#remove(root);
  }

  /** Puts all of it out of recovery's way, for a person to look at. Returns where it is. */
  static quarantine(clientHome: string, name: string): string {
    const parent = path.join(clientHome, 'quarantine');
    ensurePrivateDirectory(parent);
    const target = path.join(parent, name);
    renameSync(path.join(stageParent(clientHome), name), target);
    return target;
  }

  /** A link, not a rename: without its journal the transaction would look as if it were staging. */
  #keepRecord(name: string): void {
    const journal = path.join(this.directory, name);
    const record = path.join(this.undoDirectory, UNDO_RECORD_NAME);
    ensurePrivateDirectory(this.undoDirectory);
    try {
      linkSync(journal, record);
    } catch (error) {
      // EEXIST: an interrupted clean-up was here before. ENOENT: there never was a journal.
      const code = systemErrorCode(error);
      if (code !== 'EEXIST' && code !== 'ENOENT') copyFileSync(journal, record);
    }
  }

  async #remove(root: AnchoredRoot | undefined): Promise<void> {
    if (root !== undefined) for (const area of this.#header.treeAreas) removeTreeArea(root, area);
    // Half removed it would look like a damaged transaction.
    const dead = path.join(
      path.dirname(this.directory),
      DEAD_PREFIX + randomBytes(8).toString('hex'),
    );
    renameSync(this.directory, dead);
    await removeTree(dead);
  }
}

/** What recovery does not take for a transaction. */
export const UNBORN_PREFIX = '.new-';
export const DEAD_PREFIX = '.old-';
