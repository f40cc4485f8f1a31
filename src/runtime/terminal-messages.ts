/**
 * What the host and the keeper of one terminal say to each other, over the channel that Node gives a
 * forked process. The bytes of the terminal travel beside it: the keeper's stdin and stdout.
 */

export interface StartRequest {
  readonly type: 'start';
  /** `argv[0]` is looked up along the PATH of `env`, relative to `cwd`. */
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly columns: number;
  readonly rows: number;
}

export type ToKeeper =
  | StartRequest
  | { readonly type: 'resize'; readonly columns: number; readonly rows: number }
  /** Nobody looks at the terminal any more: its processes get SIGHUP. */
  | { readonly type: 'hang-up' };

export type FromKeeper =
  | { readonly type: 'started'; readonly pid: number }
  /** This machine cannot make terminals; `isMissing`: because the package for it is not installed. */
  | { readonly type: 'unavailable'; readonly isMissing: boolean; readonly message: string }
  /** The last message. `exitSignal` is 0 for a command that ended by itself. */
  | { readonly type: 'exited'; readonly code: number; readonly exitSignal: number }
  /** The last message, too: the system refused to execute the file. */
  | { readonly type: 'not-executable'; readonly reason: string };
