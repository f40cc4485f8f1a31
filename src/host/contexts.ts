/**
 * Contexts and their workspaces: which project of which client has which kept trees here.
 *
 * A context belongs to one client identity. Its workspaces are numbered slots, each at a path that
 * never changes (CMake and venv store absolute paths). A run holds one slot; two runs at once hold two.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { RmtxError } from '../errors.js';
import { PRIVATE_DIRECTORY_MODE, readFileIfExists, writeFileAtomic } from '../util/atomic-file.js';
import { createDeferred } from '../util/deferred.js';
import type { Deferred } from '../util/deferred.js';
import { removeTree } from '../util/remove-tree.js';
import { treeSize } from '../util/tree-size.js';
import type { StatePaths } from './state-directory.js';
import { Workspace } from './workspace.js';

export interface ContextRecord {
  readonly id: string;
  readonly clientId: string;
  readonly key: string;
  readonly name: string;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export interface ContextSummary {
  readonly id: string;
  readonly name: string;
  readonly updatedAt: string;
  readonly isActive: boolean;
  readonly sizeBytes: number;
  readonly workspace: string;
}

/** A workspace held by one run. */
export interface HeldSlot {
  readonly slot: number;
  readonly workspace: Workspace;
  readonly workspacePath: string;
  readonly contextId: string;
  /** From here on a new run of the context waits for this slot instead of taking a cold one. */
  settle(): void;
  /** Asked when a new run would otherwise take a cold slot; true where this one is given back at once. */
  whenWanted(givesWay: () => boolean): void;
  release(): Promise<void>;
}

interface SlotState {
  readonly clientId: string;
  isSettling: boolean;
  givesWay: () => boolean;
  readonly freed: Deferred<undefined>;
}

/** How many runs of one context may be going on at once. */
const MAX_SLOTS = 64;
/** And of one client: each has a thread, and what a client says its projects are costs it nothing. */
const MAX_SLOTS_PER_CLIENT = 64;

export class Contexts {
  readonly #paths: StatePaths;
  readonly #log: (line: string) => void;
  /** By context id, then slot number: the slots in use. */
  readonly #held = new Map<string, Map<number, SlotState>>();

  constructor(paths: StatePaths, log: (line: string) => void) {
    this.#paths = paths;
    this.#log = log;
  }

  /** The client's context of this key; made where it is new. */
  open(clientId: string, key: string, name: string): ContextRecord {
    const id = contextIdOf(clientId, key, name);
    const known = this.#read(id);
    const now = new Date().toISOString();
    const record: ContextRecord = {
      id,
      clientId,
      key,
      name,
      createdAt: known?.createdAt ?? now,
      updatedAt: now,
    };
    mkdirSync(this.#directory(id), { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
    writeFileAtomic(path.join(this.#directory(id), 'context.json'), encodeRecord(record));
    return record;
  }

  /**
   * Takes the first free slot. A slot that is only being tidied after its run, or that can be, is waited
   * for (some milliseconds): taking a cold one instead would cost far more.
   */
  async takeSlot(context: ContextRecord): Promise<HeldSlot> {
    this.#refuseTooMany(context.clientId);
    const slots = this.#held.get(context.id) ?? new Map<number, SlotState>();
    this.#held.set(context.id, slots);
    for (let slot = 0; slot < MAX_SLOTS; slot++) {
      const state = slots.get(slot);
      if (state !== undefined && (state.isSettling || state.givesWay())) {
        await state.freed.promise;
        return this.takeSlot(context);
      }
      if (state === undefined) return this.#hold(context, slot);
    }
    throw new RmtxError(
      'ERR_RMTX_CONTEXT_BUSY',
      `${MAX_SLOTS} runs of this project are going on at the host`,
      { hint: 'wait for one to end' },
    );
  }

  async list(clientId: string): Promise<ContextSummary[]> {
    const summaries: ContextSummary[] = [];
    for (const record of this.#records()) {
      if (record.clientId !== clientId) continue;
      const workspace = path.join(this.#paths.workspaces, record.id);
      summaries.push({
        id: record.id,
        name: record.name,
        updatedAt: record.updatedAt,
        isActive: this.isActive(record.id),
        sizeBytes: await treeSize(workspace),
        workspace,
      });
    }
    return summaries.sort((a, b) => b.updatedAt.localeCompare(a.updatedAt));
  }

  count(): number {
    return this.#records().length;
  }

  countOf(clientId: string): number {
    return this.#records().filter((record) => record.clientId === clientId).length;
  }

  isActive(contextId: string): boolean {
    return (this.#held.get(contextId)?.size ?? 0) > 0;
  }

  idOf(clientId: string, key: string): string | undefined {
    return this.#records().find((record) => record.clientId === clientId && record.key === key)?.id;
  }

  /** A run has been prepared in it, and what it was given is still there. */
  hasWorkspace(contextId: string): boolean {
    return existsSync(path.join(this.#paths.workspaces, contextId));
  }

  /** Deletes contexts of this client by id. A context with a run in it is refused before anything. */
  async delete(
    clientId: string,
    ids: readonly string[],
  ): Promise<{ deleted: ContextRecord[]; notFound: string[] }> {
    await this.#untilTidied(clientId);
    const own = new Map(
      this.#records()
        .filter((record) => record.clientId === clientId)
        .map((record) => [record.id, record]),
    );
    const busy = ids.find((id) => own.has(id) && this.isActive(id));
    if (busy !== undefined)
      throw new RmtxError('ERR_RMTX_CONTEXT_BUSY', `a run is going on in context ${busy}`, {
        hint: 'wait for it to end',
      });
    const deleted = [...new Set(ids)]
      .map((id) => own.get(id))
      .filter((found) => found !== undefined);
    await this.#remove(deleted);
    return { deleted, notFound: ids.filter((id) => !own.has(id)) };
  }

  /** Deletes this client's contexts that no run uses and that were last used before a time. */
  async prune(clientId: string, usedBefore: Date): Promise<ContextRecord[]> {
    await this.#untilTidied(clientId);
    const old = this.#records().filter(
      (record) =>
        record.clientId === clientId &&
        !this.isActive(record.id) &&
        new Date(record.updatedAt) <= usedBefore,
    );
    await this.#remove(old);
    return old;
  }

  #refuseTooMany(clientId: string): void {
    let held = 0;
    for (const slots of this.#held.values())
      for (const state of slots.values()) if (state.clientId === clientId) held += 1;
    if (held < MAX_SLOTS_PER_CLIENT) return;
    throw new RmtxError(
      'ERR_RMTX_CONTEXT_BUSY',
      `${held} runs of this client are going on at the host`,
      { hint: 'wait for one to end' },
    );
  }

  #hold(context: ContextRecord, slot: number): HeldSlot {
    const slots = this.#held.get(context.id);
    const { clientId } = context;
    const state: SlotState = {
      clientId,
      isSettling: false,
      givesWay: () => false,
      freed: createDeferred<undefined>(),
    };
    slots?.set(slot, state);
    const workspacePath = path.join(this.#paths.workspaces, context.id, String(slot));
    const slotDirectory = path.join(this.#directory(context.id), 'slots', String(slot));
    mkdirSync(slotDirectory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
    mkdirSync(path.dirname(workspacePath), { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
    const workspace = Workspace.open({
      slotDirectory,
      workspacePath,
      blobStoreDirectory: path.join(this.#paths.blobs, context.clientId),
    });
    return {
      slot,
      workspace,
      workspacePath,
      contextId: context.id,
      settle: () => {
        state.isSettling = true;
      },
      whenWanted: (givesWay) => {
        state.givesWay = givesWay;
      },
      release: async () => {
        try {
          await workspace.dispose();
        } finally {
          // May be called again, when another run has the slot.
          if (slots?.get(slot) === state) slots.delete(slot);
          state.freed.resolve(undefined);
        }
      },
    };
  }

  /**
   * Out of sight at once, so that no run can begin in one, then deleted: a crash in between leaves only
   * folders to sweep.
   */
  async #remove(contexts: readonly ContextRecord[]): Promise<void> {
    const doomed = contexts
      .flatMap(({ id }) => [path.join(this.#paths.workspaces, id), this.#directory(id)])
      .filter((directory) => existsSync(directory))
      .map((directory) => {
        const name = `.deleted-${path.basename(directory)}-${Date.now()}`;
        const hidden = path.join(path.dirname(directory), name);
        renameSync(directory, hidden);
        return hidden;
      });
    for (const directory of doomed) await removeTree(directory);
  }

  /** A slot that is being tidied after its run (some milliseconds) is in use by nobody. */
  async #untilTidied(clientId: string): Promise<void> {
    const states = [...this.#held.values()].flatMap((slots) => [...slots.values()]);
    const own = states.filter((state) => state.clientId === clientId);
    const tidied = own.filter((state) => state.isSettling || state.givesWay());
    await Promise.all(tidied.map((state) => state.freed.promise));
  }

  /** Finishes deletions that a crash interrupted; called once at start. Never rejects: it is only disk. */
  async sweepDeleted(): Promise<void> {
    for (const parent of [this.#paths.contexts, this.#paths.workspaces])
      for (const name of readdirSync(parent)) {
        const doomed = path.join(parent, name);
        if (name.startsWith('.deleted-'))
          await removeTree(doomed).catch((error: unknown) => {
            this.#log(`${doomed} cannot be removed: ${String(error)}`);
          });
      }
  }

  #directory(id: string): string {
    return path.join(this.#paths.contexts, id);
  }

  #records(): ContextRecord[] {
    return readdirSync(this.#paths.contexts)
      .filter((name) => !name.startsWith('.'))
      .map((id) => this.#read(id))
      .filter((record) => record !== undefined);
  }

  /** Undefined where there is none or where its file is damaged: one bad file affects one context. */
  #read(id: string): ContextRecord | undefined {
    const file = path.join(this.#directory(id), 'context.json');
    const bytes = readFileIfExists(file);
    if (bytes === undefined) return undefined;
    try {
      return decodeRecord(JSON.parse(bytes.toString('utf8')), id);
    } catch {
      this.#log(`context ${id}: ${file} is damaged; it is set aside and made anew at the next run`);
      renameSync(file, `${file}.corrupt`);
      return undefined;
    }
  }
}

/** Readable and unambiguous: a slug of the name, then a hash over client and project. */
function contextIdOf(clientId: string, key: string, name: string): string {
  const slug = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 40);
  const hash = createHash('sha256').update(`${clientId}\0${key}`).digest('hex').slice(0, 12);
  return slug === '' ? hash : `${slug}-${hash}`;
}

function encodeRecord(record: ContextRecord): string {
  return `${JSON.stringify(
    {
      id: record.id,
      client_id: record.clientId,
      key: record.key,
      name: record.name,
      created_at: record.createdAt,
      updated_at: record.updatedAt,
    },
    null,
    2,
  )}\n`;
}

function decodeRecord(value: unknown, id: string): ContextRecord {
  const record = value as Record<string, unknown>;
  const text = (name: string): string => {
    const field = record[name];
    if (typeof field !== 'string') throw new TypeError(`${name} is not a string`);
    return field;
  };
  if (text('id') !== id) throw new TypeError('the id is not the directory name');
  return {
    id,
    clientId: text('client_id'),
    key: text('key'),
    name: text('name'),
    createdAt: text('created_at'),
    updatedAt: text('updated_at'),
  };
}
