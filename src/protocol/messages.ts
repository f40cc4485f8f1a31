/**
 * The vocabulary of a run: every control message of ALPN `rmtx/1`, in the order in which they travel.
 *
 *   client                                         host
 *   hello, run_open              ───────────►
 *                                ◄───────────      welcome (or refused), run_opened {base manifest}
 *   ahead_sample {digests}       ───────────►      (where both said so in these: of what a first scan finds)
 *                                ◄───────────      ahead_sampled
 *   channel aheadEntries         ───────────►      (all that it finds, as it finds it, if little of it is here)
 *   ahead {sizes}                ───────────►      (large files that are new here; may be left out)
 *                                ◄───────────      ahead_wanted
 *   channel ahead                ───────────►      (their content, while they are still being hashed)
 *   manifest + channels rules, manifest ─────►     (rebuilds the manifest)
 *   start                        ───────────►      (sent at once: the host starts when it has all)
 *                                ◄───────────      blobs_wanted + channel requests   ┐ as often as
 *   channel blobs                ───────────►                                        │ needed; a file
 *   manifest (amended)           ───────────►                                        ┘ may have changed
 *                                ◄───────────      started
 *   channel stdin                ───────────►
 *                                ◄───────────      channels stdout, stderr
 *   stop / signal / resize       ───────────►
 *                                ◄───────────      exited
 *                                ◄───────────      change_set + channel changes
 *   channel requests             ───────────►
 *                                ◄───────────      channel blobs
 *   applied (or discard)         ───────────►
 *                                ◄───────────      acknowledged
 *
 * A run outlives its connection once the host has `start` and all blobs. Whoever comes back opens with
 * `run_attach` in the place of `run_open`:
 *
 *   hello, run_attach            ───────────►
 *                                ◄───────────      welcome, run_attached (or error RUN_NOT_FOUND)
 *
 * and goes on from the line `channel stdin` with what the state of the run still has to come: streams from
 * the offsets that were named, `exited` (or error RUN_LOST), `change_set`. A run that nobody can know of
 * has never started, so its client may open it once more.
 *
 * `pull` in that place is for files out of a workspace: `pulled` answers it, then come the channels that
 * follow a `change_set`, and the client leaves.
 *
 * A port of the run's is reached through the client (a forward) while the run goes on. Only the client opens
 * anything, on a number of its choice, and whatever comes of it, the host ends it:
 *
 *   forward_open                 ───────────►      (dials its own loopback)
 *   channel of that number       ◄──────────►      both directions, each ended by itself
 *   forward_broken               ◄──────────►      from the side whose socket broke, before its end
 *                                ◄───────────      forward_over: the number is free again
 *
 * `error` may come from the host at any time and ends the run's preparation; `notice` never ends
 * anything. Nothing that grows with the project is in a message: it travels on a channel, in records of
 * sync/change-codec.ts and protocol/blob-records.ts. Wire names are snake_case and live here only.
 */
import type { Digest } from '../store/digest.js';
import type { ManifestId, Problem } from '../sync/entry.js';
import type { RmtxError } from '../errors.js';
import { FIRST_REUSED_CHANNEL } from './frame.js';

/** ALPN names: one port, three languages. */
export const ALPN_RUN = 'rmtx/1';
export const ALPN_PAIRING = 'rmtx-pair/1';
export const ALPN_CONTROL = 'http/1.1';

/** The versions of the run protocol that this build speaks. */
export const PROTOCOL = { min: 1, max: 1 } as const;

/** Channels with one meaning in every run; the others are named in the messages that open them. */
export const CHANNEL = {
  rules: 1,
  stdin: 2,
  stdout: 3,
  stderr: 4,
  changes: 5,
  resultRequests: 6,
  resultBlobs: 7,
  ahead: 8,
  aheadEntries: 9,
  /** First of three consecutive numbers (manifest, requests, blobs) for each upload round. */
  firstRound: 16,
  /** First of {@link MAX_FORWARDED} numbers, each for one connection to a forwarded port at a time. */
  firstForwarded: FIRST_REUSED_CHANNEL,
} as const;

/** Connections to forwarded ports of one run at a time; a browser opens six to a place. */
export const MAX_FORWARDED = 256;

/** What each receiver of a forwarded connection lets the other have on its way, when so many are open. */
export function forwardWindowBytes(openCount: number): number {
  // A few are as fast as anything else; 256 that nobody reads hold 46 MiB and not 256.
  return openCount < 16 ? 1024 * 1024 : 128 * 1024;
}

/**
 * Why the host cannot carry a forwarded connection (further). `refused`: nothing listens at the port.
 * `failed`: it could not be dialled. `broken`: it broke. `run-over`: the run has no ports any more.
 */
export const FORWARD_FAILURES = ['refused', 'failed', 'broken', 'run-over'] as const;
export type ForwardFailure = (typeof FORWARD_FAILURES)[number];

/** A file that changes all the time is snapshotted in the second round, so more are never needed. */
export const MAX_ROUNDS = 8;

export function roundChannels(round: number): {
  manifest: number;
  requests: number;
  blobs: number;
} {
  const first = CHANNEL.firstRound + round * 3;
  return { manifest: first, requests: first + 1, blobs: first + 2 };
}

export const RUN_ID_PATTERN = /^r[0-9a-z]{16}$/;
export const CONTEXT_KEY_PATTERN = /^[0-9a-f]{32}$/;
export const MANIFEST_ID_PATTERN = /^manifest:[0-9a-f]{64}$/;

/** Signals that a client may pass on to the command as they are. What Ctrl-C does is `stop`. */
export const FORWARDED_SIGNALS = [
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGTSTP',
  'SIGCONT',
] as const;
export type ForwardedSignal = (typeof FORWARDED_SIGNALS)[number];

/** In characters. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/**
 * How somebody comes to a run that exists. `resume`: the client that started it, after its connection broke;
 * stdin goes on at the byte. `visit`: another process of the client; it takes over, and a stdin that is no
 * terminal has ended then. `watch`: reads the output, to its end or as far as it goes (`tail` false), and
 * changes nothing for anybody.
 */
export const ATTACH_MODES = ['resume', 'visit', 'watch'] as const;
export type AttachMode = (typeof ATTACH_MODES)[number];

/**
 * What a run is about. `preparing`: files are on their way. `running`. `collecting`: the command ended, its
 * changes are being captured. `waiting`: everything is captured and the client has not taken it yet. `done`:
 * it has, or wanted none. `lost`: the host ended in the midst of it.
 */
export const RUN_STATES = [
  'preparing',
  'running',
  'collecting',
  'waiting',
  'done',
  'lost',
] as const;
export type RunState = (typeof RUN_STATES)[number];

/** How a command ended. */
export type CommandOutcome =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signalled'; readonly exitSignal: string; readonly number: number }
  | { readonly kind: 'timed-out' }
  | { readonly kind: 'not-found'; readonly searched: string }
  | { readonly kind: 'not-executable'; readonly reason: string };

export type ClientMessage =
  | { type: 'hello'; protocolMin: number; protocolMax: number; version: string }
  | {
      type: 'run_open';
      runId: string;
      contextKey: string;
      contextName: string;
      label: string;
      /** The client has never scanned the project, and could send it as the scan goes on. */
      offersEntriesAhead: boolean;
    }
  | {
      type: 'ahead_sample';
      /** Of small files of the project; none: nothing will be sent ahead. */
      digests: readonly Digest[];
    }
  | {
      type: 'ahead';
      /** Of files that could be sent before the manifest; which ones, nobody needs to know yet. */
      sizes: readonly number[];
    }
  | {
      type: 'manifest';
      round: number;
      /** The manifest that the changes start from; null: from nothing. */
      base: ManifestId | null;
      manifestId: ManifestId;
      hasRules: boolean;
    }
  | {
      type: 'start';
      command: readonly string[];
      /** Relative to the project root; '' is the root. */
      cwd: string;
      env: ReadonlyMap<string, string>;
      hasStdin: boolean;
      timeoutMs: number | undefined;
      wantsSyncBack: boolean;
      /** Host clock minus client clock, as the client measured it. */
      clockOffsetUs: number;
      /** A terminal instead of pipes: what TERM is, and how large it is. Its output is all on stdout. */
      terminal: (TerminalSize & { readonly term: string }) | undefined;
      /** The client will not stay: no streams are opened, and stdin has ended. */
      isDetached: boolean;
      /** How long the command may go on while nobody visits; undefined: to its end. */
      disconnectGraceMs: number | undefined;
    }
  | {
      type: 'run_attach';
      runId: string;
      mode: AttachMode;
      /** The first bytes that are wanted. */
      stdoutOffset: number;
      stderrOffset: number;
      /** For `watch`: stay until the output has ended. */
      tail: boolean;
    }
  | {
      type: 'pull';
      /** Undefined: of the context, the run that goes on or else the kept workspace. */
      runId: string | undefined;
      contextKey: string;
      /** Relative to the project root; a directory means all in it. */
      paths: readonly string[];
    }
  | { type: 'stop'; isForced: boolean }
  | { type: 'signal'; name: ForwardedSignal }
  | ({ type: 'resize' } & TerminalSize)
  | { type: 'forward_open'; channel: number; port: number }
  | { type: 'forward_broken'; channel: number }
  | { type: 'applied' }
  | { type: 'discard' };

export interface IgnoredLeftovers {
  readonly count: number;
  readonly bytes: number;
  readonly largestFolder: string;
}

export type HostMessage =
  | {
      type: 'welcome';
      protocol: number;
      version: string;
      name: string;
      nowUs: number;
      /** Of the interface that the client came in by: what wakes this machine from sleep. */
      hardwareAddresses: readonly string[];
    }
  | { type: 'refused'; error: RmtxError }
  | {
      type: 'run_opened';
      workspace: string;
      slot: number;
      isCold: boolean;
      base: ManifestId | null;
      /** It was offered, and the workspace is empty: the client sends `ahead_sample`. */
      takesEntriesAhead: boolean;
      /** Ids of runs of this context that are over and wait for their client; the newest few. */
      waiting: readonly string[];
    }
  | {
      type: 'run_attached';
      state: RunState;
      command: readonly string[];
      /** Where the streams begin: later than asked for where the spool has dropped what was before. */
      stdoutOffset: number;
      stderrOffset: number;
      /** Bytes of stdin that the host has: those must not be sent again. */
      stdinOffset: number;
      /** The command takes (more) input. */
      takesStdin: boolean;
      hasTerminal: boolean;
      wantsSyncBack: boolean;
      /** Undefined before the workspace was opened, and for a record that another version wrote. */
      slot: number | undefined;
    }
  | {
      type: 'ahead_sampled';
      /** The client opens channel aheadEntries, and ends it. */
      isWanted: boolean;
    }
  | {
      type: 'ahead_wanted';
      /** Indexes into `sizes`; where there are none, no channel is opened. */
      indexes: readonly number[];
    }
  | { type: 'blobs_wanted'; round: number; files: number; bytes: number }
  | { type: 'started' }
  | {
      type: 'exited';
      outcome: CommandOutcome;
      durationMs: number;
      /** Processes of the run that were still there after the command and had to be ended. */
      sweptProcesses: number;
      /** True where a process kept the output open past the limit and its end was cut. */
      isOutputCut: boolean;
    }
  | {
      type: 'change_set';
      manifestId: ManifestId;
      changes: number;
      bytes: number;
      ignored: IgnoredLeftovers | undefined;
      problems: readonly Problem[];
    }
  | { type: 'acknowledged' }
  | {
      type: 'pulled';
      changes: number;
      bytes: number;
      /** Of the paths that were asked for: nothing is there. */
      missing: readonly string[];
      problems: readonly Problem[];
    }
  | { type: 'forward_broken'; channel: number; failure: ForwardFailure }
  | { type: 'forward_over'; channel: number }
  | { type: 'notice'; code: string; message: string }
  | { type: 'error'; error: RmtxError };

/** Digests in one `ahead_sample`. */
export const MAX_SAMPLE = 256;

/** Files in one `ahead`. */
export const MAX_AHEAD_FILES = 1000;

/** At most this many waiting runs are named in `run_opened`. */
export const MAX_WAITING_NAMED = 5;

/** Paths in one `pull`. */
export const MAX_PULLED_PATHS = 1000;
/** Of a run; in UTF-16 units. */
export const MAX_RUN_LABEL_LENGTH = 200;

/** At most this many problems travel in one message; the rest is counted in the last one. */
export const MAX_PROBLEMS = 200;
