/**
 * The client's story of a run that somebody comes back to: find what is remembered of it, take it over
 * from whoever is with it, show the output from where it was left, bring home what it changed.
 */
import { RmtxError, systemErrorCode } from '../errors.js';
import { AnchoredRoot } from '../util/safe-path.js';
import { printable } from '../util/printable.js';
import { DIALED_BACK } from './connect.js';
import { choiceOptions } from './control.js';
import type { HostTarget } from './control.js';
import type { ForwardRequest, Forwards } from './forwards.js';
import { chooseHostOfRun } from './host-choice.js';
import { HostLink, RECONNECT_LIMIT_MS } from './host-link.js';
import { HostedRun, handlersFor } from './hosted-run.js';
import { Interrupts } from './interrupts.js';
import { ProjectState } from './project-state.js';
import { bringChangesHome, leaveChangesThere } from './results.js';
import type { HomeReport } from './results.js';
import { isBeyondRecall, reportOf, stayToTheEnd, withWayBack } from './run-end.js';
import type { RunReport, RunSinks } from './run-events.js';
import { RunTeller } from './run-teller.js';
import type { RunPhase } from './run-teller.js';
import { RunTicket } from './run-ticket.js';
import type { DetachedRun } from './run.js';
import { RunStreams } from './streams.js';
import { atTerminal } from './terminal-stay.js';
import type { Attached } from './visit.js';

export interface AttachOptions {
  readonly target: HostTarget;
  readonly runId: string;
  /** False: what the command changed stays on the host. */
  readonly hasSyncBack: boolean;
  /** Ports of the run that are to be reached here while it lasts. */
  readonly forwards: readonly ForwardRequest[];
}

/**
 * Stays with a run to its end, as the exec that began it would have. Rejects with an RmtxError where rmtx
 * itself failed; every way in which the command can end is a report.
 */
export async function attachRun(
  options: AttachOptions,
  sinks: RunSinks,
): Promise<RunReport | DetachedRun> {
  const teller = new RunTeller(sinks);
  using interrupts = new Interrupts();
  interrupts.onNotice = (message) => teller.warn('interrupt', message);
  using attached = new AttachedRun(options, { sinks, interrupts, teller });
  try {
    return await attached.execute();
  } catch (error) {
    if (interrupts.abandoned.signal.aborted) return attached.abandoned();
    throw attached.explained(error);
  }
}

interface Surroundings {
  readonly sinks: RunSinks;
  readonly interrupts: Interrupts;
  readonly teller: RunTeller;
}

class AttachedRun implements Disposable {
  readonly #options: AttachOptions;
  readonly #around: Surroundings;
  readonly #startedAtMs = performance.now();
  /** Absent where the run was started by somebody else, or settled here already. */
  readonly #ticket: RunTicket | undefined;
  readonly #link: HostLink;
  #forwards: Forwards | undefined;
  #phase: RunPhase = 'opening';

  constructor(options: AttachOptions, around: Surroundings) {
    this.#options = options;
    this.#around = around;
    this.#ticket = RunTicket.find(options.target.home, options.runId);
    this.#link = this.#createLink();
  }

  async execute(): Promise<RunReport | DetachedRun> {
    const { sinks, interrupts, teller } = this.#around;
    const streams = new RunStreams({
      sinks,
      offsets: this.#ticket?.offsets ?? { stdout: 0, stderr: 0 },
      onHandedOver: (offsets) => this.#ticket?.handedOver(offsets),
    });
    await this.#openForwards();
    const { run, host, attached } = await HostedRun.attach({
      link: this.#link,
      runId: this.#options.runId,
      streams,
      forwards: this.#forwards,
      onDropped: (missing) => teller.dropped(missing),
    });
    const { name } = await host.welcome;
    const { command, state } = attached;
    teller.emit({
      type: 'attached',
      runId: run.id,
      host: name,
      address: host.address,
      state,
      command,
    });
    const isGoingOn = state === 'preparing' || state === 'running';
    this.#phase = isGoingOn ? 'running' : 'over';
    if (isGoingOn) {
      interrupts.commandStarted(handlersFor(run));
      this.#forwards?.tell();
    }
    const terminal = attached.hasTerminal && isGoingOn ? sinks.terminal : undefined;
    // What fills the screen draws itself anew for a window of another size.
    if (terminal !== undefined) run.resize({ columns: 1, rows: 1 });
    const report = await atTerminal({ terminal, interrupts, run }, (giveBack) => {
      const bringHome = this.#dealingWithChanges(run, attached);
      return stayToTheEnd({
        ...this.#around,
        ...this.#about,
        run,
        streams,
        forwards: this.#forwards,
        command,
        bringHome:
          bringHome &&
          (() => {
            giveBack();
            return bringHome();
          }),
      });
    });
    if (report === undefined) return { runId: run.id, isDetached: true, wasLeft: true };
    if (attached.state === 'done') this.#ticket?.remove();
    return report;
  }

  /** Left before the host had answered, or while the output of a run that is over was shown. */
  abandoned(): RunReport {
    const signal = this.#around.interrupts.received;
    return reportOf({ kind: 'interrupted', signal }, this.#about);
  }

  explained(error: unknown): unknown {
    if (isBeyondRecall(error)) this.#ticket?.remove();
    if (this.#phase === 'opening') return error;
    return withWayBack(error, { id: this.#options.runId, phase: this.#phase, hasGrace: false });
  }

  [Symbol.dispose](): void {
    this.#forwards?.[Symbol.dispose]();
    this.#ticket?.[Symbol.dispose]();
    this.#link[Symbol.dispose]();
  }

  /** First of all: where a port cannot be had, nobody is sent away from the run. */
  async #openForwards(): Promise<void> {
    const { forwards } = this.#options;
    if (forwards.length === 0) return;
    const { Forwards: Opened } = await import('./forwards.js');
    this.#forwards = await Opened.open(forwards, this.#around.teller);
  }

  /** Undefined where nothing is there to be dealt with, or nobody wants it dealt with now. */
  #dealingWithChanges(run: HostedRun, attached: Attached): (() => Promise<HomeReport>) | undefined {
    if (attached.state === 'done') return undefined;
    const settled = async (work: Promise<HomeReport>): Promise<HomeReport> => {
      const report = await work;
      this.#ticket?.remove();
      return report;
    };
    // It was started so: whoever is there at its end says that nothing is wanted.
    if (!attached.wantsSyncBack) return () => settled(leaveChangesThere(run));
    if (!this.#options.hasSyncBack) return undefined;
    return async () => {
      this.#phase = 'over';
      const table = this.#ticket?.loadTable();
      if (this.#ticket === undefined || table === undefined) return await this.#leaveWaiting(run);
      return settled(this.#bringHome(run, { ticket: this.#ticket, table }));
    };
  }

  /** Without what the project was like nothing can be compared: the changes wait for whoever knows. */
  async #leaveWaiting(run: HostedRun): Promise<HomeReport> {
    const results = await run.during((visit) => visit.results());
    const { changes = 0, problems = [], ignored } = results?.changeSet ?? {};
    const nothing = { changed: [], deleted: [], conflicts: [], bytes: 0 };
    if (changes === 0) await run.settle('applied');
    else
      this.#around.teller.warn(
        'not-from-here',
        'what the command changed waits on the host: it can only be brought home from where the run was started',
      );
    return { ...nothing, problems, ignored, isIncomplete: changes > 0 };
  }

  async #bringHome(
    run: HostedRun,
    {
      ticket,
      table,
    }: {
      readonly ticket: RunTicket;
      readonly table: NonNullable<ReturnType<RunTicket['loadTable']>>;
    },
  ): Promise<HomeReport> {
    const { home } = this.#options.target;
    const { projectRoot, contextKey, rules, allowMassDelete, fingerprint, slot, startedAt } =
      ticket.details;
    using root = openProject(projectRoot);
    const state = new ProjectState(home, { key: contextKey, root: root.path });
    return await bringChangesHome({
      run,
      root,
      stateDirectory: state.directory,
      scan: { table, rules },
      allowMassDelete,
      clientHome: home.directory,
      onProgress: (done, total) =>
        this.#around.teller.emit({
          type: 'progress',
          step: 'sync-back',
          done,
          total,
          unit: 'bytes',
        }),
      onSettled: (_now, base) => {
        // What a later run of the project has agreed on since is newer than this.
        if (!state.isNewerThan(new Date(startedAt)))
          state.saveBases({ key: { fingerprint, slot }, base, former: table });
      },
    });
  }

  #createLink(): HostLink {
    const { target } = this.#options;
    const { teller, interrupts } = this.#around;
    let isFirst = true;
    return new HostLink({
      home: target.home,
      abortSignal: interrupts.abandoned.signal,
      limitMs: RECONNECT_LIMIT_MS,
      choose: () => {
        const named = { ...choiceOptions(target), warn: undefined };
        const choice = chooseHostOfRun(named, this.#ticket?.details);
        if (isFirst) teller.info('host-rule', choice.rule);
        isFirst = false;
        return choice;
      },
      onNotice: (code, text) => teller.hostSays(code, text),
      onOutage: (outage) => teller.outage(outage, this.#phase),
      onDialedBack: () => teller.detail('dialed-back', DIALED_BACK),
    });
  }

  get #about(): {
    readonly run: { readonly id: string };
    readonly teller: RunTeller;
    readonly startedAtMs: number;
    readonly uploadedBytes: number;
  } {
    return {
      run: { id: this.#options.runId },
      teller: this.#around.teller,
      startedAtMs: this.#startedAtMs,
      uploadedBytes: 0,
    };
  }
}

function openProject(projectRoot: string): AnchoredRoot {
  try {
    return AnchoredRoot.open(projectRoot);
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) throw error;
    throw new RmtxError(
      'ERR_RMTX_APPLY_FAILED',
      `the project folder ${printable(projectRoot)} is gone; there is no place for what the run changed`,
      { cause: error },
    );
  }
}
