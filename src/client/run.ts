/**
 * The client's story of a run: choose the host and connect while the project is scanned, bring the host
 * to the same files, run the command with its streams here, bring home what it changed.
 */
import { randomBytes } from 'node:crypto';
import { contextKey } from '../config/context-key.js';
import { forwardedEnvironment } from '../config/env-forward.js';
import type { ResolvedConfig } from '../config/resolved-config.js';
import { CHANNEL } from '../protocol/messages.js';
import type { CommandOutcome, HostMessage } from '../protocol/messages.js';
import { RmtxError, isRmtxError } from '../errors.js';
import { AnchoredRoot } from '../util/safe-path.js';
import { exactCommand, projectWorkingDirectory } from './command.js';
import { connectForRun } from './connect.js';
import type { HostConnection } from './connect.js';
import type { ClientHome } from './home.js';
import { chooseHost } from './host-choice.js';
import { Interrupts } from './interrupts.js';
import { ProjectState } from './project-state.js';
import { ruleSourcesOf } from './project-rules.js';
import { ProjectScan } from './project-scan.js';
import { bringChangesHome } from './results.js';
import type { HomeReport } from './results.js';
import type { RunEvent, RunOutcome, RunReport, RunSinks, RunStep } from './run-events.js';
import { forwardInput, forwardOutput } from './streams.js';
import { uploadProject } from './upload.js';
import type { UploadResult } from './upload.js';

export interface RunOptions {
  readonly config: ResolvedConfig;
  readonly home: ClientHome;
  readonly command: readonly string[];
  /** Absolute, local. */
  readonly cwd: string;
  /** `--env`, already resolved. */
  readonly env: ReadonlyMap<string, string>;
  /** `--host`. */
  readonly host: string | undefined;
  readonly timeoutMs: number | undefined;
  readonly hasSyncBack: boolean;
  readonly allowMassDelete: boolean;
  readonly label: string | undefined;
}

/**
 * Runs a command on the host. Rejects with an RmtxError where rmtx itself failed; every way in which
 * the command can end is a report.
 */
export async function runCommand(options: RunOptions, sinks: RunSinks): Promise<RunReport> {
  const command = exactCommand(options.command);
  using root = AnchoredRoot.open(options.config.projectRoot);
  using interrupts = new Interrupts(
    (message) =>
      void sinks.onEvent({ type: 'notice', code: 'interrupt', message, level: 'warning' }),
  );
  const run = new ClientRun({ ...options, command }, { sinks, root, interrupts });
  // Whatever is under way with the host ends with the connection.
  interrupts.abandoned.signal.addEventListener('abort', () => run.close());
  try {
    return await run.execute();
  } catch (error) {
    if (interrupts.abandoned.signal.aborted) return run.abandoned();
    throw run.explained(error);
  } finally {
    run.close();
  }
}

interface RunSurroundings {
  readonly sinks: RunSinks;
  readonly root: AnchoredRoot;
  readonly interrupts: Interrupts;
}

class ClientRun {
  readonly #id = `r${randomId()}`;
  readonly #options: RunOptions;
  readonly #around: RunSurroundings;
  readonly #startedAt = performance.now();
  #host: HostConnection | undefined;
  #hasStarted = false;

  constructor(options: RunOptions, around: RunSurroundings) {
    this.#options = options;
    this.#around = around;
  }

  async execute(): Promise<RunReport> {
    const { config, home } = this.#options;
    const { root, interrupts } = this.#around;
    const key = contextKey(config.projectRoot, config.contextName);
    const state = new ProjectState(home, { key, root: root.path });
    const abortSignal = interrupts.abandoned.signal;
    using project = new ProjectScan({ root, state, rules: ruleSourcesOf(config), abortSignal });
    const [scan, host] = await bothOrFirstError(
      this.#step('scan', () => project.scan((done) => this.#progress('scan', done))),
      this.#step('connect', () => this.#connect(key, abortSignal)),
    );
    for (const problem of scan.problems) this.#emit({ type: 'problem', ...problem });
    const { name, clockOffsetUs } = await host.welcome;
    const opened = await host.inbox.next('run_opened');
    this.#emit({
      ...opened,
      type: 'run',
      runId: this.#id,
      host: name,
      address: host.address,
    });
    const agreed = { fingerprint: host.fingerprint, slot: opened.slot };
    const uploaded = await this.#step('upload', () =>
      uploadProject({
        host,
        root,
        rules: scan.rules,
        base: opened.base === null ? undefined : state.base(agreed, opened.base),
        table: scan.table,
        rescan: (paths) => project.rescan(paths),
        snapshotOf: (digest) => project.snapshotOf(digest),
        onProgress: ({ done, total }) =>
          this.#emit({ type: 'progress', step: 'upload', done, total, unit: 'bytes' }),
      }),
    );
    const exited = await this.#step('run', () => this.#runThere(host, clockOffsetUs));
    interrupts.commandEnded();
    const home_ = await this.#step('sync-back', () =>
      bringChangesHome({
        host,
        root,
        state,
        agreed,
        runId: this.#id,
        scan: { ...project.latest, table: uploaded.table },
        isWanted: this.#options.hasSyncBack,
        allowMassDelete: this.#options.allowMassDelete,
        clientHome: home.directory,
        onProgress: (done, total) =>
          this.#emit({ type: 'progress', step: 'sync-back', done, total, unit: 'bytes' }),
      }),
    );
    return this.#report(this.#outcomeOf(exited.outcome), uploaded, home_);
  }

  /** Given up before anything ran. */
  abandoned(): RunReport {
    const signal = this.#around.interrupts.received;
    return this.#report({ kind: 'interrupted', signal }, undefined, undefined);
  }

  close(): void {
    this.#host?.connection.destroy();
  }

  /** A broken connection leaves a question that only we can answer. */
  explained(error: unknown): unknown {
    const isLost = isRmtxError(error) && error.code === 'ERR_RMTX_CONNECTION_LOST';
    if (!isLost || !this.#hasStarted) return error;
    return new RmtxError(error.code, error.message, {
      cause: error,
      hint: 'the host ends a command whose client is gone, and drops its changes: run it again',
    });
  }

  /** The host gets its workspace ready while the project is still scanned here. */
  async #connect(key: string, abortSignal: AbortSignal): Promise<HostConnection> {
    const { home, host, config } = this.#options;
    const warn = (message: string): void =>
      this.#emit({ type: 'notice', code: 'damaged-record', message, level: 'warning' });
    const choice = chooseHost({ home, named: host, config, warn });
    this.#emit({ type: 'notice', code: 'host-rule', message: choice.rule, level: 'info' });
    this.#host = await connectForRun({
      home,
      choice,
      abortSignal,
      // Marked as the host's: a warning of rmtx itself, such as what Ctrl-C does now, must not be forged.
      onNotice: (code, text) =>
        this.#emit({
          type: 'notice',
          code: `host:${code}`,
          message: `the host says: ${text}`,
          level: 'warning',
        }),
    });
    abortSignal.throwIfAborted();
    this.#host.send({
      type: 'run_open',
      runId: this.#id,
      contextKey: key,
      contextName: config.contextName,
      label: this.#options.label ?? '',
    });
    return this.#host;
  }

  /** Starts the command and stays with its streams until it has ended and every byte is handed over. */
  async #runThere(
    host: HostConnection,
    clockOffsetUs: number,
  ): Promise<{ readonly outcome: CommandOutcome }> {
    const { sinks, interrupts } = this.#around;
    const { config, command, cwd, env, timeoutMs, hasSyncBack } = this.#options;
    interrupts.abandoned.signal.throwIfAborted();
    host.send({
      type: 'start',
      command,
      cwd: projectWorkingDirectory(config.projectRoot, cwd),
      env: new Map([
        ...Object.entries(forwardedEnvironment(config.envForward, process.env)),
        ...env,
      ]),
      hasStdin: sinks.stdin !== undefined,
      timeoutMs,
      wantsSyncBack: hasSyncBack,
      clockOffsetUs,
      terminal: undefined,
      isDetached: false,
      disconnectGraceMs: undefined,
    });
    this.#hasStarted = true;
    interrupts.commandStarted((isForced) => host.send({ type: 'stop', isForced }));
    const output = Promise.all([this.#forward(host, 'stdout'), this.#forward(host, 'stderr')]);
    output.catch(() => undefined);
    const exited = await this.#untilExit(host);
    sinks.stdin?.destroy();
    await output;
    if (exited.sweptProcesses > 0)
      this.#emit({
        type: 'notice',
        code: 'swept',
        level: 'info',
        message: `${exited.sweptProcesses} processes that the command left behind were ended`,
      });
    if (exited.isOutputCut)
      this.#emit({
        type: 'notice',
        code: 'output-cut',
        level: 'warning',
        message: "something kept the command's output open after its end; the output was cut there",
      });
    this.#emit({ type: 'exit', outcome: this.#outcomeOf(exited.outcome) });
    return exited;
  }

  async #untilExit(host: HostConnection): Promise<Extract<HostMessage, { type: 'exited' }>> {
    const { stdin } = this.#around.sinks;
    const first = await host.inbox.next('started', 'exited');
    // An interrupt came first.
    if (first.type === 'exited') return first;
    if (stdin !== undefined) void forwardInput(stdin, host.connection.openSend(CHANNEL.stdin));
    return host.inbox.next('exited');
  }

  #forward(host: HostConnection, stream: 'stdout' | 'stderr'): Promise<void> {
    const channel = host.connection.openReceive(CHANNEL[stream]);
    const target = this.#around.sinks[stream];
    if (target !== undefined) return forwardOutput(channel, target);
    let offset = 0;
    return channel.onData(async (bytes) => {
      const at = offset;
      offset += bytes.length;
      await this.#around.sinks.onEvent({ type: 'output', stream, offset: at, bytes });
    });
  }

  #outcomeOf(outcome: CommandOutcome): RunOutcome {
    switch (outcome.kind) {
      case 'signalled':
        // A command that handled Ctrl-C and chose its own code keeps it; one that died of it is 130.
        return this.#around.interrupts.received === undefined
          ? { kind: 'signalled', signal: outcome.exitSignal, number: outcome.number }
          : { kind: 'interrupted', signal: outcome.exitSignal };
      case 'not-found': {
        const [first = '', ...rest] = this.#options.command;
        return { ...outcome, isShellLine: rest.length === 0 && /[\s|&;<>]/.test(first) };
      }
      case 'exited':
      case 'timed-out':
      case 'not-executable':
        return outcome;
    }
  }

  #report(
    outcome: RunOutcome,
    uploaded: UploadResult | undefined,
    home: HomeReport | undefined,
  ): RunReport {
    const code = exitCodeOf(outcome);
    const conflicts = home?.conflicts ?? [];
    for (const conflict of conflicts) this.#emit({ type: 'conflict', ...conflict });
    for (const problem of home?.problems ?? []) this.#emit({ type: 'problem', ...problem });
    const hasUnapplied = conflicts.length > 0 || home?.isIncomplete === true;
    return {
      runId: this.#id,
      outcome,
      exitCode: code === 0 && hasUnapplied ? 122 : code,
      durationMs: Math.round(performance.now() - this.#startedAt),
      uploadedBytes: uploaded?.bytes ?? 0,
      downloadedBytes: home?.bytes ?? 0,
      changed: home?.changed ?? [],
      deleted: home?.deleted ?? [],
      conflicts,
      problems: home?.problems ?? [],
      ...(home?.ignored === undefined ? {} : { ignoredLeftovers: home.ignored }),
    };
  }

  async #step<T>(step: RunStep, work: () => Promise<T>): Promise<T> {
    this.#emit({ type: 'step', step, state: 'start', elapsedMs: 0 });
    const startedAt = performance.now();
    const result = await work();
    const elapsedMs = performance.now() - startedAt;
    this.#emit({ type: 'step', step, state: 'end', elapsedMs });
    return result;
  }

  #progress(step: RunStep, done: number): void {
    this.#emit({ type: 'progress', step, done, unit: 'files' });
  }

  #emit(event: RunEvent): void {
    void this.#around.sinks.onEvent(event);
  }
}

function exitCodeOf(outcome: RunOutcome): number {
  switch (outcome.kind) {
    case 'exited':
      return outcome.code;
    case 'signalled':
      return 128 + outcome.number;
    case 'timed-out':
      return 124;
    case 'interrupted':
      return 130;
    case 'not-found':
      return 127;
    case 'not-executable':
      return 126;
  }
}

/** 16 characters of base 36: 82 bits. */
function randomId(): string {
  return BigInt(`0x${randomBytes(11).toString('hex')}`)
    .toString(36)
    .padStart(18, '0')
    .slice(-16);
}

/** Both results; when one fails its error comes at once and the other's is not lost as unhandled. */
async function bothOrFirstError<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  a.catch(() => undefined);
  b.catch(() => undefined);
  return Promise.all([a, b]);
}
