/** What happens during a run, as data; `cli/report` words it. */
import type { Readable, Writable } from 'node:stream';
import type { RmtxError } from '../errors.js';
import type { IgnoredLeftovers, RunState } from '../protocol/messages.js';
import type { LocalTerminal } from './terminal.js';

export type RunStep = 'scan' | 'connect' | 'upload' | 'run' | 'sync-back';

/** How a run ended, as its user sees it. */
export type RunOutcome =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signalled'; readonly signal: string; readonly number: number }
  | { readonly kind: 'timed-out' }
  | { readonly kind: 'interrupted'; readonly signal: string | undefined }
  | { readonly kind: 'not-found'; readonly searched: string; readonly isShellLine: boolean }
  | { readonly kind: 'not-executable'; readonly reason: string };

export type RunEvent =
  | {
      readonly type: 'step';
      readonly step: RunStep;
      readonly state: 'start' | 'end';
      readonly elapsedMs: number;
      readonly detail?: string;
    }
  | {
      readonly type: 'progress';
      readonly step: RunStep;
      readonly done: number;
      readonly total?: number;
      readonly unit: 'files' | 'bytes';
      /** Of a scan: what has gone to the host meanwhile. */
      readonly sentBytes?: number;
    }
  | {
      readonly type: 'notice';
      readonly code: string;
      readonly message: string;
      readonly hint?: string;
      /** A warning is shown unless `-q`; an info only on a terminal or with `-v`, a detail only with `-v`. */
      readonly level: 'detail' | 'info' | 'warning';
    }
  | {
      readonly type: 'run';
      readonly runId: string;
      readonly host: string;
      readonly address: string;
      readonly workspace: string;
      readonly isCold: boolean;
      readonly slot: number;
    }
  | {
      /** In the place of `run` for whoever came back to one. */
      readonly type: 'attached';
      readonly runId: string;
      readonly host: string;
      readonly address: string;
      readonly state: RunState;
      readonly command: readonly string[];
    }
  | {
      /** In the place of `run` for a command that runs on this machine, and why. */
      readonly type: 'local';
      readonly cwd: string;
      readonly reason: RmtxError;
    }
  | {
      readonly type: 'output';
      readonly stream: 'stdout' | 'stderr';
      readonly offset: number;
      readonly bytes: Buffer;
    }
  | {
      /** A port of the run's can be reached here from now on. */
      readonly type: 'forward';
      readonly port: number;
      /** 0: any. */
      readonly wantedLocalPort: number;
      readonly localPort: number;
      readonly addresses: readonly string[];
    }
  | { readonly type: 'exit'; readonly outcome: RunOutcome }
  | {
      readonly type: 'conflict';
      readonly path: string;
      readonly keptTheirsAs?: string;
      readonly description: string;
    }
  | {
      readonly type: 'problem';
      readonly path: string;
      readonly code: string;
      readonly message: string;
    };

export interface RunConflict {
  readonly path: string;
  readonly keptTheirsAs?: string;
}

export interface RunReport {
  readonly runId: string;
  readonly outcome: RunOutcome;
  /** What the process exits with: the command's own, 122 for conflicts after a 0, 130, 124, 126, 127. */
  readonly exitCode: number;
  /** Something that the command changed is not here as it is there, whatever the exit code. */
  readonly hasUnapplied: boolean;
  readonly durationMs: number;
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
  readonly changed: readonly string[];
  readonly deleted: readonly string[];
  readonly conflicts: readonly RunConflict[];
  readonly problems: readonly {
    readonly path: string;
    readonly code: string;
    readonly message: string;
  }[];
  readonly ignoredLeftovers?: IgnoredLeftovers;
}

/** How it ended where there was no run on a host. */
export interface HostlessReport {
  /** Where the command ran: here, or nowhere because it was given up before. */
  readonly runner: 'local' | null;
  readonly outcome: RunOutcome;
  readonly exitCode: number;
  readonly durationMs: number;
}

export interface RunSinks {
  /** A promise holds back the command's output, as a pipe that is full would. */
  onEvent(event: RunEvent): void | Promise<void>;
  /** Absent with `--json`: the output comes as events then. */
  readonly stdout?: Writable;
  readonly stderr?: Writable;
  /** Absent: the command's stdin is at its end from the start. */
  readonly stdin?: Readable;
  /** Lent to the command while it runs; its two ends are `stdin` and `stdout` then. */
  readonly terminal?: LocalTerminal;
}
