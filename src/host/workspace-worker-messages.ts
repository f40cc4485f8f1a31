/** What the main thread and a workspace's worker say to each other. */
import { RmtxError, isRmtxError } from '../errors.js';
import type { ErrorCode } from '../errors.js';
import type { Digest } from '../store/digest.js';
import type { ManifestId } from '../sync/entry.js';
import type { PullOptions, PulledFiles } from './pulled-files.js';
import type {
  BeginManifestOptions,
  BlobsResult,
  ChangeSetSummary,
  CollectOptions,
  MaterializeCounts,
  MissingBlobs,
  VerifyResult,
  WorkspaceOptions,
} from './workspace-session.js';

/** With the memory that the bytes came in. */
export interface TakenBlobs extends BlobsResult {
  readonly memory: ArrayBuffer;
}

/** Every call with its argument and its result. A worker does one after the other, in order. */
export interface WorkerCalls {
  open: { argument: WorkspaceOptions; result: undefined };
  verify: { argument: undefined; result: VerifyResult };
  offerEntriesAhead: { argument: readonly Digest[]; result: boolean };
  offerAhead: { argument: readonly number[]; result: readonly number[] };
  beginManifest: { argument: BeginManifestOptions; result: undefined };
  pushManifest: { argument: Uint8Array; result: undefined };
  finishManifest: { argument: ManifestId; result: MissingBlobs };
  pushBlobs: { argument: Uint8Array<ArrayBuffer>; result: TakenBlobs };
  materialize: { argument: undefined; result: MaterializeCounts };
  collect: { argument: CollectOptions; result: ChangeSetSummary };
  acknowledge: { argument: undefined; result: undefined };
  restore: { argument: undefined; result: undefined };
  dispose: { argument: undefined; result: undefined };
  /** Needs no open workspace. */
  pull: { argument: PullOptions; result: PulledFiles };
}

export type WorkerMethod = keyof WorkerCalls;

export type WorkerRequest = {
  [M in WorkerMethod]: {
    readonly id: number;
    readonly method: M;
    readonly argument: WorkerCalls[M]['argument'];
  };
}[WorkerMethod];

export type WorkerResponse =
  | { readonly id: number; readonly result: WorkerCalls[WorkerMethod]['result'] }
  | { readonly id: number; readonly error: SentError };

/** An error as plain data: a structured clone keeps neither the class nor the code. */
export interface SentError {
  readonly code?: ErrorCode;
  readonly hint?: string | undefined;
  readonly isRetryable?: boolean;
  readonly message: string;
  readonly stack?: string | undefined;
}

export function toSentError(error: unknown): SentError {
  if (isRmtxError(error)) {
    const { code, hint, isRetryable, message, stack } = error;
    return { code, hint, isRetryable, message, stack };
  }
  if (error instanceof Error) return { message: error.message, stack: error.stack };
  return { message: String(error) };
}

/** The same error on this side; its stack is the worker's, where it was thrown. */
export function fromSentError(sent: SentError): Error {
  const { code, hint, isRetryable = false, message, stack } = sent;
  const error =
    code === undefined ? new Error(message) : new RmtxError(code, message, { hint, isRetryable });
  if (stack !== undefined) error.stack = stack;
  return error;
}
