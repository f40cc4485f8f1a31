/**
 * The worker threads of workspaces. A fresh one costs 30 ms and finds all code uncompiled, so those that
 * are free are kept for the next run.
 */
import os from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { RmtxError } from '../errors.js';
import { createDeferred } from '../util/deferred.js';
import type { Deferred } from '../util/deferred.js';
import { fromSentError } from './workspace-worker-messages.js';
import type { WorkerCalls, WorkerMethod, WorkerResponse } from './workspace-worker-messages.js';

const WORKER_FILE = path.join(__dirname, 'workspace-worker.js');
/** More free ones than runs can work at once only take memory, 10 MB each. */
const MAX_FREE = Math.max(1, os.availableParallelism() - 1);

const free: WorkspaceThread[] = [];

/** A free thread, or a new one. Its user has it alone until {@link releaseThread}. */
export function takeThread(): WorkspaceThread {
  return free.pop() ?? new WorkspaceThread();
}

/** Takes back a thread that has no workspace open any more. */
export function releaseThread(thread: WorkspaceThread): void {
  if (thread.isDead) return;
  if (free.length < MAX_FREE) free.push(thread);
  else void thread.end();
}

/** Starts a thread for the first run: it loads the code while nobody waits for it. */
export function prewarmWorkspaceWorkers(): void {
  if (free.length === 0) free.push(new WorkspaceThread());
}

/** Ends the free threads, for whoever wants nothing to be left. */
export async function closeWorkspaceWorkers(): Promise<void> {
  await Promise.all(free.splice(0).map((thread) => thread.end()));
}

/** One worker. It does not keep the process alive but while a call is under way. */
export class WorkspaceThread {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Deferred<never>>();
  #lastId = 0;
  #death: RmtxError | undefined;

  constructor() {
    this.#worker = new Worker(WORKER_FILE);
    // Before it runs, `unref` does not hold in Node 20.
    this.#worker.once('online', () => {
      if (this.#pending.size === 0) this.#worker.unref();
    });
    this.#worker.on('message', (response: WorkerResponse) => this.#settle(response));
    this.#worker.on('error', (error) => this.#die(error));
    this.#worker.on('exit', () => this.#die());
  }

  get isDead(): boolean {
    return this.#death !== undefined;
  }

  /**
   * Calls are done in order. `transfer` names memory that this thread gives away. Rejects with what the
   * call threw, or HOST_FAILED where the worker died.
   */
  async call<M extends WorkerMethod>(
    method: M,
    argument: WorkerCalls[M]['argument'],
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<WorkerCalls[M]['result']> {
    if (this.#death !== undefined) throw this.#death;
    const deferred = createDeferred<WorkerCalls[M]['result']>();
    this.#lastId += 1;
    // What comes under this id is this method's result: see WorkerCalls.
    this.#pending.set(this.#lastId, deferred as Deferred<never>);
    if (this.#pending.size === 1) this.#worker.ref();
    this.#worker.postMessage({ id: this.#lastId, method, argument }, transfer);
    return deferred.promise;
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #settle(response: WorkerResponse): void {
    const deferred = this.#pending.get(response.id);
    this.#pending.delete(response.id);
    if (this.#pending.size === 0) this.#worker.unref();
    if ('error' in response) deferred?.reject(fromSentError(response.error));
    else deferred?.resolve(response.result as never);
  }

  #die(cause?: Error): void {
    this.#death ??= new RmtxError('ERR_RMTX_HOST_FAILED', "the workspace's worker thread ended", {
      cause,
    });
    for (const deferred of this.#pending.values()) deferred.reject(this.#death);
    this.#pending.clear();
    const index = free.indexOf(this);
    if (index >= 0) free.splice(index, 1);
  }
}
