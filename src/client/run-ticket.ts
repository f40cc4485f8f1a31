/**
 * What this client needs to come back to a run: which host has it, what the project was when it began
 * (the third side of the comparison when its changes come home), and how much of its output has been
 * shown. One directory for each run that is not settled: `projects/<key>/runs/<run id>/`.
 */
import {
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { isRmtxError, systemErrorCode } from '../errors.js';
import { parseStateFile } from '../util/state-file.js';
import { loadEntryTable, manifestIdIn, saveEntryTable } from '../sync/entry-table-file.js';
import type { EntryTable } from '../sync/entry-table.js';
import { parseRuleSources } from '../sync/rule-sources.js';
import type { RuleSources } from '../sync/rule-sources.js';
import { parseFingerprint } from '../trust/fingerprint.js';
import type { Fingerprint } from '../trust/fingerprint.js';
import {
  PRIVATE_DIRECTORY_MODE,
  PRIVATE_FILE_MODE,
  readFileIfExists,
  writeFileAtomic,
} from '../util/atomic-file.js';
import type { ClientHome } from './home.js';
import type { OutputOffsets } from './streams.js';

export interface TicketDetails {
  readonly runId: string;
  readonly fingerprint: Fingerprint;
  readonly address: string;
  readonly projectRoot: string;
  readonly contextKey: string;
  readonly slot: number;
  readonly command: readonly string[];
  /** ISO 8601. */
  readonly startedAt: string;
  readonly hasSyncBack: boolean;
  readonly allowMassDelete: boolean;
  /** As the run saw the project. */
  readonly rules: RuleSources;
}

const VERSION = 1;
const DETAILS_FILE = 'run.json';
const TABLE_FILE = 'table';
const OFFSETS_FILE = 'offsets';
const OFFSETS_BYTES = 16;
/** A kill may show this much of the output again; a write for each line would slow the lines down. */
const OFFSETS_EVERY_MS = 20;
/** A host forgets a run after 7 days. */
const MAX_AGE_MS = 8 * 24 * 60 * 60 * 1000;

export class RunTicket implements Disposable {
  readonly #directory: string;
  readonly details: TicketDetails;
  #offsets: OutputOffsets;
  #offsetsFd: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #writtenAtMs = -Infinity;

  private constructor(directory: string, details: TicketDetails, offsets: OutputOffsets) {
    this.#directory = directory;
    this.details = details;
    this.#offsets = offsets;
  }

  /**
   * Writes the ticket of a run that is about to start, or writes it anew. `saved` is a file that may hold
   * this very table already: a link to it costs nothing.
   */
  static write(
    projectDirectory: string,
    details: TicketDetails,
    manifest: { readonly table: EntryTable; readonly saved: string | undefined },
  ): RunTicket {
    const parent = runsDirectory(projectDirectory);
    const directory = path.join(parent, details.runId);
    removeOld(parent);
    removeTicket(directory);
    mkdirSync(directory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
    const table = path.join(directory, TABLE_FILE);
    if (!linkIfSame(manifest, table)) saveEntryTable(table, manifest.table);
    writeFileAtomic(
      path.join(directory, DETAILS_FILE),
      JSON.stringify({ version: VERSION, ...details }),
    );
    return new RunTicket(directory, details, { stdout: 0, stderr: 0 });
  }

  /** The ticket of this run, whichever project it is of. Undefined where there is none that can be read. */
  static find(home: ClientHome, runId: string): RunTicket | undefined {
    const projects = path.join(home.directory, 'projects');
    for (const project of namesIn(projects)) {
      const directory = path.join(runsDirectory(path.join(projects, project)), runId);
      const details = readDetails(directory);
      if (details?.runId === runId)
        return new RunTicket(directory, details, readOffsets(directory));
    }
    return undefined;
  }

  /** Of the runs of a project that are not settled, the one that began last. */
  static newest(projectDirectory: string): RunTicket | undefined {
    const parent = runsDirectory(projectDirectory);
    const tickets = namesIn(parent).flatMap((name) => {
      const directory = path.join(parent, name);
      const details = readDetails(directory);
      return details === undefined
        ? []
        : [new RunTicket(directory, details, readOffsets(directory))];
    });
    return tickets.sort((a, b) => (a.details.startedAt < b.details.startedAt ? 1 : -1))[0];
  }

  /** How much of the output was handed over. */
  get offsets(): OutputOffsets {
    return this.#offsets;
  }

  /** The manifest that the run started from; undefined where the file is gone or damaged. */
  loadTable(): EntryTable | undefined {
    return loadEntryTable(path.join(this.#directory, TABLE_FILE));
  }

  /** Remembers how far the output has got; on disk within 20 ms. */
  handedOver(offsets: OutputOffsets): void {
    this.#offsets = offsets;
    if (this.#timer !== undefined) return;
    const dueMs = this.#writtenAtMs + OFFSETS_EVERY_MS - performance.now();
    if (dueMs <= 0) {
      this.#writeOffsets();
      return;
    }
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#writeOffsets();
    }, dueMs);
    this.#timer.unref();
  }

  /** The run is settled: nobody has to come back to it. */
  remove(): void {
    this.#close();
    removeTicket(this.#directory);
  }

  [Symbol.dispose](): void {
    if (this.#timer !== undefined) this.#writeOffsets();
    this.#close();
  }

  #writeOffsets(): void {
    this.#writtenAtMs = performance.now();
    const bytes = Buffer.alloc(OFFSETS_BYTES);
    bytes.writeBigUInt64LE(BigInt(this.#offsets.stdout));
    bytes.writeBigUInt64LE(BigInt(this.#offsets.stderr), 8);
    try {
      this.#offsetsFd ??= openSync(
        path.join(this.#directory, OFFSETS_FILE),
        'w',
        PRIVATE_FILE_MODE,
      );
      writeSync(this.#offsetsFd, bytes, 0, bytes.length, 0);
    } catch {
      // A full disk, or a ticket that another rmtx has settled: the output itself must go on.
    }
  }

  #close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#offsetsFd !== undefined) closeSync(this.#offsetsFd);
    this.#offsetsFd = undefined;
  }
}

function runsDirectory(projectDirectory: string): string {
  return path.join(projectDirectory, 'runs');
}

/** Another rmtx may have replaced the file since it was read, so what was linked is looked at again. */
function linkIfSame(
  { table, saved }: { readonly table: EntryTable; readonly saved: string | undefined },
  target: string,
): boolean {
  if (saved === undefined) return false;
  try {
    linkSync(saved, target);
  } catch {
    // A file system without links.
    return false;
  }
  if (manifestIdIn(target) === table.manifestId) return true;
  rmSync(target);
  return false;
}

function removeOld(parent: string): void {
  for (const name of namesIn(parent)) {
    const directory = path.join(parent, name);
    const stats = statSync(directory, { throwIfNoEntry: false });
    if (stats !== undefined && Date.now() - stats.mtimeMs > MAX_AGE_MS) removeTicket(directory);
  }
}

/** Every run does this, and removing a tree takes 3 ms where removing what is known to be there takes 0.1. */
function removeTicket(directory: string): void {
  try {
    for (const name of [DETAILS_FILE, TABLE_FILE, OFFSETS_FILE])
      rmSync(path.join(directory, name), { force: true });
    rmdirSync(directory);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return;
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Our own file: what is not whole, or of another version, is no ticket. */
function readDetails(directory: string): TicketDetails | undefined {
  const bytes = readFileIfExists(path.join(directory, DETAILS_FILE));
  if (bytes === undefined) return undefined;
  try {
    const fields = parseStateFile(bytes, DETAILS_FILE);
    if (fields.integer('version', 0) !== VERSION) return undefined;
    return {
      runId: fields.string('runId'),
      fingerprint: parseFingerprint(fields.string('fingerprint')),
      address: fields.string('address'),
      projectRoot: fields.string('projectRoot'),
      contextKey: fields.string('contextKey'),
      slot: fields.integer('slot', 0),
      command: fields.strings('command', 100_000),
      startedAt: fields.string('startedAt'),
      hasSyncBack: fields.boolean('hasSyncBack'),
      allowMassDelete: fields.boolean('allowMassDelete'),
      rules: parseRuleSources(fields.raw('rules')),
    };
  } catch (error) {
    if (error instanceof SyntaxError || isRmtxError(error)) return undefined;
    throw error;
  }
}

function readOffsets(directory: string): OutputOffsets {
  const bytes = readFileIfExists(path.join(directory, OFFSETS_FILE));
  if (bytes?.length !== OFFSETS_BYTES) return { stdout: 0, stderr: 0 };
  return {
    stdout: Number(bytes.readBigUInt64LE()),
    stderr: Number(bytes.readBigUInt64LE(8)),
  };
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) return [];
    throw error;
  }
}
