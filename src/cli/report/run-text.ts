/** What `exec` says about a run in words, on stderr. Events in, text out. */
import type {
  HostlessReport,
  RunEvent,
  RunOutcome,
  RunReport,
  RunStep,
} from '../../client/run-events.js';
import { assertNever } from '../../util/never.js';
import { printable } from '../../util/printable.js';
import { formatDuration, formatSize } from '../../util/units.js';
import { ProgressLine } from './progress.js';
import { count, grouped } from './text.js';

export interface RunTextOptions {
  readonly write: (text: string) => void;
  readonly isVerbose: boolean;
  readonly isQuiet: boolean;
  /** stderr is a terminal: somebody looks on. */
  readonly isTerminal: boolean;
  /** The terminal understands more than text: TERM is not `dumb`. */
  readonly canErase: boolean;
  readonly columns: () => number;
  readonly now: () => number;
  /** For the words of what was asked: the argv, and `--timeout`. */
  readonly command: readonly string[];
  readonly timeoutMs?: number | undefined;
}

/** Where the command was to run. */
type Place = 'on the host' | 'here';

/** What answers somebody or tells how it goes on: nothing is the matter. */
const NO_WARNINGS: ReadonlySet<string> = new Set([
  'interrupt',
  'connection-lost',
  'connected-again',
  'waiting-for-host',
  'host-found',
  'not-from-here',
]);

const stepWords: Readonly<Record<RunStep, { readonly doing: string; readonly done: string }>> = {
  scan: { doing: 'looking for changes', done: 'scanned' },
  connect: { doing: 'connecting', done: 'connected' },
  upload: { doing: 'sending', done: 'sent' },
  run: { doing: 'running', done: 'ran' },
  'sync-back': { doing: 'bringing changes back', done: 'synced back' },
};

/** Enough to see what is the matter; `--report` has all of them. */
const MAX_PROBLEM_LINES = 10;

/** Words one run. Not for use after {@link finish}. */
export class RunText {
  readonly #options: RunTextOptions;
  readonly #progress: ProgressLine | undefined;
  readonly #stepStarts = new Map<RunStep, number>();
  #problemCount = 0;
  #command: readonly string[];

  constructor(options: RunTextOptions) {
    this.#options = options;
    this.#command = options.command;
    const { write, columns, now } = options;
    if (options.isTerminal && options.canErase && !options.isQuiet)
      this.#progress = new ProgressLine({ write, columns, now });
  }

  onEvent(event: RunEvent): void {
    switch (event.type) {
      case 'step':
        this.#onStep(event);
        break;
      case 'progress':
        this.#progress?.update(event.step, progressWords(event));
        break;
      case 'run':
        this.#onRun(event);
        break;
      case 'attached':
        this.#command = event.command;
        this.#sayDetail(attachedWords(event));
        break;
      case 'notice':
        this.#onNotice(event);
        break;
      case 'conflict':
        this.#say(conflictWords(event));
        break;
      case 'problem':
        this.#onProblem(event);
        break;
      case 'forward':
        this.#onForward(event);
        break;
      case 'local':
        this.#sayDetail(`rmtx: running in ${printable(event.cwd)}`);
        break;
      case 'output':
      case 'exit':
        break;
      default:
        assertNever(event);
    }
  }

  /** Erases what is not meant to stay; for a run that failed in rmtx itself. */
  stop(): void {
    this.#progress?.stop();
  }

  /** Whoever sat at the command's terminal has left it. */
  left(runId: string): void {
    this.stop();
    this.#sayUnlessQuiet(`rmtx: run ${runId} goes on; rmtx attach ${runId} comes back to it`);
  }

  /** Says what came of the run, where its exit code alone does not. */
  finish(report: RunReport): void {
    this.stop();
    this.#sayOutcome(report.outcome, 'on the host');
    // What is not as it should be here is said whatever `-q` says, as a conflict is.
    if (this.#options.isQuiet && report.hasUnapplied) this.#sayWhy(report);
    const unsaid = this.#problemCount - MAX_PROBLEM_LINES;
    if (unsaid > 0 && !this.#options.isQuiet) this.#say(moreProblemsWords(unsaid));
    if (report.ignoredLeftovers !== undefined && this.#isWatched)
      this.#sayUnlessQuiet(leftoverWords(report.ignoredLeftovers));
    this.#sayDetail(summaryWords(report));
  }

  /** The same for a command that ran on this machine, or nowhere. */
  finishHere({ outcome, exitCode, durationMs }: HostlessReport): void {
    this.stop();
    this.#sayOutcome(outcome, 'here');
    this.#sayDetail(`rmtx: exit code ${exitCode} after ${formatDuration(durationMs)}`);
  }

  #sayOutcome(outcome: RunOutcome, place: Place): void {
    const asked = { command: this.#command, timeoutMs: this.#options.timeoutMs, place };
    for (const line of outcomeLines(outcome, asked)) this.#say(line);
  }

  #onStep(event: Extract<RunEvent, { type: 'step' }>): void {
    const { step, state, elapsedMs, detail } = event;
    const words = stepWords[step];
    if (state === 'start') {
      this.#stepStarts.set(step, elapsedMs);
      // The command has the terminal now.
      if (step === 'run') this.#progress?.stop();
      else this.#progress?.begin(step, words.doing);
      return;
    }
    if (step !== 'run') this.#progress?.end(step);
    const tookMs = elapsedMs - (this.#stepStarts.get(step) ?? 0);
    const more = detail === undefined ? '' : `: ${printable(detail)}`;
    this.#sayDetail(`rmtx: ${words.done} in ${formatDuration(tookMs)}${more}`);
  }

  #onRun(event: Extract<RunEvent, { type: 'run' }>): void {
    this.#sayDetail(runWords(event));
    if (event.isCold && event.slot > 0 && this.#isWatched)
      this.#sayUnlessQuiet(
        "rmtx: another run has this project's workspace, so this one starts in a new one",
      );
  }

  #onNotice(event: Extract<RunEvent, { type: 'notice' }>): void {
    // Which rule chose the host is the same in every run.
    if (event.code === 'host-rule') {
      this.#sayDetail(`rmtx: host chosen by: ${printable(event.message)}`);
      return;
    }
    if (event.level === 'info' && !this.#isWatched) return;
    if (event.level === 'detail' && !this.#options.isVerbose) return;
    const isWarning = event.level === 'warning' && !NO_WARNINGS.has(event.code);
    this.#sayUnlessQuiet(`rmtx: ${isWarning ? 'warning: ' : ''}${printable(event.message)}`);
    if (event.hint !== undefined) this.#sayUnlessQuiet(`rmtx: hint: ${printable(event.hint)}`);
  }

  /** Where nobody could guess it, it is said whoever looks on. */
  #onForward({ port, wantedLocalPort, localPort }: Extract<RunEvent, { type: 'forward' }>): void {
    const here = `127.0.0.1:${localPort}`;
    if (wantedLocalPort !== 0 && wantedLocalPort !== localPort)
      this.#sayUnlessQuiet(`rmtx: port ${wantedLocalPort} is taken here; using ${here} instead`);
    else if (this.#isWatched || wantedLocalPort === 0)
      this.#sayUnlessQuiet(`rmtx: ${here} leads to port ${port} of the run`);
  }

  #sayWhy({ problems }: RunReport): void {
    for (const problem of problems.slice(0, MAX_PROBLEM_LINES)) this.#say(problemWords(problem));
    const unsaid = problems.length - MAX_PROBLEM_LINES;
    if (unsaid > 0) this.#say(moreProblemsWords(unsaid));
  }

  #onProblem(event: Extract<RunEvent, { type: 'problem' }>): void {
    // A socket in a project is there in every run; git and make pass it by in silence, too.
    if (event.code === 'special-file' && !this.#isWatched) return;
    this.#problemCount += 1;
    if (this.#problemCount <= MAX_PROBLEM_LINES) this.#sayUnlessQuiet(problemWords(event));
  }

  /** Somebody looks on, or asked for more: the place for what is good to know and no trouble. */
  get #isWatched(): boolean {
    return this.#options.isTerminal || this.#options.isVerbose;
  }

  #sayDetail(line: string): void {
    if (this.#options.isVerbose) this.#say(line);
  }

  #sayUnlessQuiet(line: string): void {
    if (!this.#options.isQuiet) this.#say(line);
  }

  #say(line: string): void {
    this.#progress?.erase();
    this.#options.write(`${line}\n`);
  }
}

function progressWords(event: Extract<RunEvent, { type: 'progress' }>): string {
  const { doing } = stepWords[event.step];
  const done = event.unit === 'bytes' ? formatSize(event.done) : count(event.done, 'file');
  const sent = event.sentBytes ? `, ${formatSize(event.sentBytes)} sent` : '';
  if (event.total === undefined) return `${doing}: ${done}${sent}`;
  const total = event.unit === 'bytes' ? formatSize(event.total) : count(event.total, 'file');
  return `${doing}: ${done} of ${total}`;
}

function runWords(event: Extract<RunEvent, { type: 'run' }>): string {
  const warmth = event.isCold ? 'cold' : 'warm';
  return `rmtx: run ${printable(event.runId)} on ${printable(event.host)} (${printable(event.address)}), ${warmth} workspace ${printable(event.workspace)}, slot ${event.slot}`;
}

function attachedWords(event: Extract<RunEvent, { type: 'attached' }>): string {
  const { runId, host, address, state, command } = event;
  return `rmtx: run ${printable(runId)} on ${printable(host)} (${printable(address)}) is ${state}: ${printable(command.join(' '))}`;
}

function problemWords({
  path,
  message,
}: {
  readonly path: string;
  readonly message: string;
}): string {
  return `rmtx: warning: ${printable(path)}: ${printable(message)}`;
}

function moreProblemsWords(unsaid: number): string {
  return `rmtx: and ${count(unsaid, 'more problem')}; --report FILE lists them all`;
}

/** A conflict is said whatever `-q` says: something of the command's work is not where it belongs. */
function conflictWords(event: Extract<RunEvent, { type: 'conflict' }>): string {
  return `rmtx: conflict: ${printable(event.path)}: ${printable(event.description)}`;
}

/** What a shell would say about a command of its own; nothing for an exit code that speaks for itself. */
function outcomeLines(
  outcome: RunOutcome,
  asked: {
    readonly command: readonly string[];
    readonly timeoutMs?: number | undefined;
    readonly place: Place;
  },
): string[] {
  const name = printable(asked.command[0] ?? '') || "''";
  switch (outcome.kind) {
    case 'exited':
    case 'interrupted':
      return [];
    case 'signalled':
      // A closed reader and Ctrl-C are how pipelines and people end a command: shells are silent, too.
      return outcome.signal === 'SIGPIPE' || outcome.signal === 'SIGINT'
        ? []
        : [`rmtx: ${name} was ended by ${printable(outcome.signal)}`];
    case 'timed-out':
      return [
        asked.timeoutMs === undefined
          ? `rmtx: error: ${name} was ended because its time was up`
          : `rmtx: error: ${name} was ended after ${formatDuration(asked.timeoutMs)} (--timeout)`,
      ];
    case 'not-found':
      return notFoundLines(outcome, name, asked.place);
    case 'not-executable':
      return [`rmtx: error: cannot execute ${name} ${asked.place}: ${printable(outcome.reason)}`];
    default:
      return assertNever(outcome);
  }
}

function notFoundLines(
  outcome: Extract<RunOutcome, { kind: 'not-found' }>,
  name: string,
  place: Place,
): string[] {
  const where = place === 'here' ? 'here' : 'there';
  const error = `rmtx: error: command not found ${place}: ${name} (PATH ${where}: ${printable(outcome.searched)})`;
  if (!outcome.isShellLine) return [error];
  const quoted = `'${name.replaceAll("'", `'\\''`)}'`;
  return [error, `rmtx: hint: for a shell line: rmtx exec -- sh -c ${quoted}`];
}

function leftoverWords(leftovers: NonNullable<RunReport['ignoredLeftovers']>): string {
  const { count: files, largestFolder, bytes } = leftovers;
  return `rmtx: the run made ${count(files, 'ignored file')} (${formatSize(bytes)}, most of it in ${printable(largestFolder)}), now removed; name them in sync_back to get them, or in keep_on_host to keep them there`;
}

function summaryWords(report: RunReport): string {
  return [
    `rmtx: exit code ${report.exitCode} after ${formatDuration(report.durationMs)}`,
    `sent ${formatSize(report.uploadedBytes)}`,
    `received ${formatSize(report.downloadedBytes)}`,
    `${count(report.changed.length, 'path')} changed`,
    `${grouped(report.deleted.length)} deleted`,
  ].join(', ');
}
