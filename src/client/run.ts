/**
 * The client's story of a run: choose the host and connect while the project is scanned, bring the host
 * to the same files, run the command with its streams here, bring home what it changed. A connection that
 * breaks on the way is made again (`host-link.ts`, `hosted-run.ts`).
 */
import { contextKey } from '../config/context-key.js';
import type { ResolvedConfig } from '../config/resolved-config.js';
import { AnchoredRoot } from '../util/safe-path.js';
import { exactCommand } from './command.js';
import { DIALED_BACK } from './connect.js';
import type { FirstDial } from './first-dial.js';
import type { ForwardRequest, Forwards } from './forwards.js';
import type { ClientHome } from './home.js';
import { chooseHost } from './host-choice.js';
import { HostLink, RECONNECT_LIMIT_MS } from './host-link.js';
import { HostedRun, handlersFor } from './hosted-run.js';
import type { Interrupts } from './interrupts.js';
import { OpenedRun } from './opened-run.js';
import { ProjectState } from './project-state.js';
import { ruleSourcesOf } from './project-rules.js';
import { ProjectScan } from './project-scan.js';
import { bringChangesHome, leaveChangesThere } from './results.js';
import type { HomeReport } from './results.js';
import { isBeyondRecall, outcomeOf, reportOf, stayToTheEnd, withWayBack } from './run-end.js';
import type { RunReport, RunSinks } from './run-events.js';
import { RunTeller } from './run-teller.js';
import type { RunPhase } from './run-teller.js';
import { newRunId } from './run-id.js';
import { RunStreams } from './streams.js';
import { atTerminal } from './terminal-stay.js';
import type { TerminalRequest } from './terminal.js';

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
  /** Why it is this host, where somebody chose it before. */
  readonly hostRule?: string | undefined;
  /** `--discovery-timeout`. */
  readonly discoveryTimeoutMs: number | undefined;
  readonly firstDial: FirstDial;
  readonly timeoutMs: number | undefined;
  readonly hasSyncBack: boolean;
  readonly allowMassDelete: boolean;
  readonly label: string | undefined;
  /** Leave once the command has started. */
  readonly isDetached: boolean;
  /** What the command is told of its terminal; undefined: it has none. */
  readonly terminal: TerminalRequest | undefined;
  /** How long the command may go on while the connection is lost; undefined: to its end. */
  readonly disconnectGraceMs: number | undefined;
  /** Ports of the run that are to be reached here while it lasts. */
  readonly forwards: readonly ForwardRequest[];
}

/** A command that was started and left: what it prints and changes waits on the host. */
export interface DetachedRun {
  readonly runId: string;
  readonly isDetached: true;
  /** It had its terminal here, and whoever sat at it has left. */
  readonly wasLeft: boolean;
}

/**
 * Runs a command on the host. Rejects with an RmtxError where rmtx itself failed; every way in which
 * the command can end is a report.
 */
export async function runCommand(
  options: RunOptions,
  sinks: RunSinks,
): Promise<RunReport | DetachedRun> {
  const command = exactCommand(options.command);
  const teller = new RunTeller(sinks);
  using root = AnchoredRoot.open(options.config.projectRoot);
  const { interrupts } = options.firstDial;
  interrupts.onNotice = (message) => teller.warn('interrupt', message);
  const run = new ClientRun({ ...options, command }, { sinks, root, interrupts, teller });
  try {
    return await run.execute();
  } catch (error) {
    if (interrupts.abandoned.signal.aborted) return run.abandoned();
    throw run.explained(error);
  } finally {
    run.close();
    teller.close();
  }
}

interface RunSurroundings {
  readonly sinks: RunSinks;
  readonly root: AnchoredRoot;
  readonly interrupts: Interrupts;
  readonly teller: RunTeller;
}

class ClientRun {
  readonly #id = newRunId();
  readonly #options: RunOptions;
  readonly #around: RunSurroundings;
  readonly #startedAtMs = performance.now();
  readonly #link: HostLink;
  readonly #state: ProjectState;
  readonly #project: ProjectScan;
  readonly #opened: OpenedRun;
  #forwards: Forwards | undefined;
  #phase: RunPhase = 'opening';

  constructor(options: RunOptions, around: RunSurroundings) {
    const { config, home } = options;
    const { root, interrupts, teller, sinks } = around;
    this.#options = options;
    this.#around = around;
    const abortSignal = interrupts.abandoned.signal;
    const key = contextKey(config.projectRoot, config.contextName);
    this.#state = new ProjectState(home, { key, root: root.path });
    this.#project = new ProjectScan({
      root,
      state: this.#state,
      rules: ruleSourcesOf(config, home),
      abortSignal,
    });
    this.#link = this.#createLink(abortSignal);
    this.#opened = new OpenedRun({
      runId: this.#id,
      options,
      root,
      state: this.#state,
      project: this.#project,
      link: this.#link,
      teller,
      hasStdin: sinks.stdin !== undefined,
    });
  }

  async execute(): Promise<RunReport | DetachedRun> {
    const { interrupts } = this.#around;
    await this.#openForwards();
    const host = await this.#opened.start();
    this.#phase = 'running';
    const streams = this.#options.isDetached ? undefined : this.#createStreams();
    const run = HostedRun.started(host, {
      link: this.#link,
      runId: this.#id,
      streams,
      forwards: this.#forwards,
      onDropped: (missing) => this.#around.teller.dropped(missing),
      openAgain: () => this.#opened.start(),
    });
    interrupts.commandStarted(handlersFor(run));
    return streams === undefined ? this.#leave(run) : this.#stay(run, streams);
  }

  /** Given up before anything ran. */
  abandoned(): RunReport {
    this.#opened.ticket?.remove();
    const signal = this.#around.interrupts.received;
    return reportOf({ kind: 'interrupted', signal }, this.#about);
  }

  /** What failed, with the way back where the run goes on without us. */
  explained(error: unknown): unknown {
    const phase = this.#phase;
    if (phase === 'opening' || isBeyondRecall(error)) this.#opened.ticket?.remove();
    if (phase === 'opening') return error;
    const hasGrace = this.#options.disconnectGraceMs !== undefined;
    return withWayBack(error, { id: this.#id, phase, hasGrace });
  }

  close(): void {
    this.#forwards?.[Symbol.dispose]();
    this.#opened[Symbol.dispose]();
    this.#link[Symbol.dispose]();
    this.#project[Symbol.dispose]();
  }

  /** First of all: where a port cannot be had, nothing has happened. */
  async #openForwards(): Promise<void> {
    const { forwards } = this.#options;
    if (forwards.length === 0) return;
    const { Forwards: Opened } = await import('./forwards.js');
    this.#forwards = await Opened.open(forwards, this.#around.teller);
    this.#forwards.tell();
  }

  /** Stays with the command and its streams, then brings home what it changed. */
  async #stay(run: HostedRun, streams: RunStreams): Promise<RunReport | DetachedRun> {
    const { interrupts, sinks } = this.#around;
    const report = await atTerminal({ terminal: sinks.terminal, interrupts, run }, (giveBack) =>
      stayToTheEnd({
        ...this.#around,
        ...this.#about,
        run,
        streams,
        forwards: this.#forwards,
        command: this.#options.command,
        bringHome: () => {
          giveBack();
          this.#phase = 'over';
          return this.#bringHome(run);
        },
      }),
    );
    if (report === undefined) return { runId: this.#id, isDetached: true, wasLeft: true };
    this.#opened.ticket?.remove();
    return report;
  }

  /** Leaves once the command has started; one that could not be started is over already. */
  async #leave(run: HostedRun): Promise<RunReport | DetachedRun> {
    const exited = await run.during((visit) => visit.untilStarted());
    if (exited === undefined) return { runId: this.#id, isDetached: true, wasLeft: false };
    this.#opened.ticket?.remove();
    const about = { ...this.#around, command: this.#options.command };
    return reportOf(outcomeOf(exited.outcome, about), this.#about);
  }

  async #bringHome(run: HostedRun): Promise<HomeReport> {
    const { root, teller } = this.#around;
    const { hasSyncBack, allowMassDelete, home } = this.#options;
    const { key, uploaded } = this.#opened.agreement;
    const scan = { ...this.#project.latest, table: uploaded.table };
    const state = this.#state;
    // Where the host has put its workspace back, what it had before is what the next run meets.
    const former = (): typeof uploaded.table | undefined =>
      run.mayBePutBack ? uploaded.table : undefined;
    if (!hasSyncBack) {
      const report = await leaveChangesThere(run);
      state.save(scan, { key, base: scan.table, former: former() });
      return report;
    }
    return bringChangesHome({
      run,
      root,
      stateDirectory: state.directory,
      scan,
      allowMassDelete,
      clientHome: home.directory,
      onProgress: (done, total) =>
        teller.emit({ type: 'progress', step: 'sync-back', done, total, unit: 'bytes' }),
      onSettled: (table, base) => state.save({ ...scan, table }, { key, base, former: former() }),
    });
  }

  #createLink(abortSignal: AbortSignal): HostLink {
    const { home, host, hostRule, config, discoveryTimeoutMs } = this.#options;
    const { disconnectGraceMs = RECONNECT_LIMIT_MS } = this.#options;
    const { teller } = this.#around;
    let firstDial: FirstDial | undefined = this.#options.firstDial;
    return new HostLink({
      home,
      abortSignal,
      limitMs: Math.min(RECONNECT_LIMIT_MS, disconnectGraceMs),
      choose: () => {
        if (firstDial === undefined)
          return chooseHost({ home, named: host, config, discoveryTimeoutMs });
        const { choice, warnings } = firstDial;
        firstDial = undefined;
        for (const message of warnings) teller.warn('damaged-record', message);
        teller.info('host-rule', hostRule ?? choice.rule);
        return choice;
      },
      onNotice: (code, text) => teller.hostSays(code, text),
      onOutage: (outage) => teller.outage(outage, this.#phase),
      onDialedBack: () => teller.detail('dialed-back', DIALED_BACK),
    });
  }

  #createStreams(): RunStreams {
    return new RunStreams({
      sinks: this.#around.sinks,
      offsets: { stdout: 0, stderr: 0 },
      onHandedOver: (offsets) => this.#opened.ticket?.handedOver(offsets),
    });
  }

  get #about(): {
    readonly run: { readonly id: string };
    readonly teller: RunTeller;
    readonly startedAtMs: number;
    readonly uploadedBytes: number;
  } {
    return {
      run: { id: this.#id },
      teller: this.#around.teller,
      startedAtMs: this.#startedAtMs,
      uploadedBytes: this.#opened.uploadedBytes,
    };
  }
}
