/**
 * A run while it has a workspace: opened by a visitor, and from `begin` on nobody's but the host's. It is
 * materialized, executed, captured; then it waits for its client to take what it changed, and gives the
 * workspace back. Visitors come and go meanwhile.
 */
import { isRmtxError } from '../errors.js';
import { MAX_PROBLEMS } from '../protocol/messages.js';
import type { ForwardedSignal, TerminalSize } from '../protocol/messages.js';
import { createDeferred } from '../util/deferred.js';
import { nowUs } from '../util/microseconds.js';
import { removeTree } from '../util/remove-tree.js';
import type { CommandInput } from './command-input.js';
import type { ContextRecord, HeldSlot } from './contexts.js';
import { Execution } from './execution.js';
import { describeFailure } from './routes.js';
import { hostStopping, takenOver } from './run-errors.js';
import type { ChangeSetHead, RunRecord } from './run-record.js';
import { prepareRequest } from './run-request.js';
import type { StartMessage } from './run-request.js';
import type { Answer, Run } from './run.js';
import type { HostServices } from './services.js';
import type { ChangeSetSummary, VerifyResult } from './workspace-session.js';

/** A blink of the network must not cost the next run the files that this one left in place. */
const RESUME_MS = 10_000;
/** Nobody came back in this time: a command that waits for input gets its end. */
const INPUT_PATIENCE_MS = 3600 * 1000;

export class RunLife {
  readonly #run: Run;
  readonly #services: HostServices;
  #held: HeldSlot | undefined;
  #execution: Execution | undefined;
  #phase: 'opening' | 'begun' | 'over' = 'opening';
  #hasBegun = false;
  #isEvicted = false;
  #isStoppedEarly = false;
  #isTidying = false;
  /** Undefined: nobody took the changes in time. */
  readonly #taken = createDeferred<Answer | undefined>();
  readonly #settled = createDeferred<undefined>();

  constructor(run: Run, services: HostServices) {
    this.#run = run;
    this.#services = services;
    run.life = this;
  }

  /** It has all that it needs and does not depend on its visitor any more. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** It is over, and its workspace is only being put in order. */
  get isTidying(): boolean {
    return this.#isTidying;
  }

  /** Resolves when the workspace is given back. */
  get settled(): Promise<undefined> {
    return this.#settled.promise;
  }

  /** Undefined before it was opened. */
  get input(): CommandInput | undefined {
    return this.#execution?.input;
  }

  /** Takes a workspace and looks at what is in it. */
  async open(context: ContextRecord): Promise<VerifyResult & { readonly held: HeldSlot }> {
    const held = await this.#services.contexts.takeSlot(context);
    this.#held = held;
    this.#run.opened(held.slot);
    const { id, directory, stdout, stderr, visitors } = this.#run;
    this.#execution = new Execution({
      runId: id,
      directory,
      stdout,
      stderr,
      // Who asked for it says of the first step that it was asked for.
      onStopStep: (exitSignal) => {
        if (exitSignal !== 'SIGINT') visitors.notice('stopping', `${exitSignal} sent`);
      },
    });
    if (this.#isStoppedEarly) this.#execution.stop({ isForced: false });
    const verified = await held.workspace.verify();
    return { held, ...verified };
  }

  /**
   * From here on the run is the host's: every file is here. Throws where its client has opened it anew
   * meanwhile, or the host stops.
   */
  begin(start: StartMessage): void {
    if (this.#isEvicted || this.#phase !== 'opening') throw takenOver(this.#run.id);
    if (this.#services.runs.stopping.aborted) throw hostStopping(this.#run);
    this.#phase = 'begun';
    this.#hasBegun = true;
    this.#live(start, this.#resources()).catch((error: unknown) => {
      this.#services.log(`run ${this.#run.id} is left as it is: ${describeFailure(error)}`);
    });
  }

  /** It will not begin: its visitor is gone or was refused. Never rejects. */
  async drop(error: unknown): Promise<void> {
    if (this.#phase !== 'opening') return;
    await this.#forget(error);
  }

  /** Its client opens it anew: the connection on which it was being opened counts no more. */
  evict(): void {
    this.#isEvicted = true;
    this.#run.visitors.dismiss();
  }

  stop(options: { readonly isForced: boolean }): void {
    this.#isStoppedEarly = true;
    this.#execution?.stop(options);
  }

  signal(name: ForwardedSignal): void {
    this.#execution?.signal(name);
  }

  resize(size: TerminalSize): void {
    this.#execution?.resize(size);
  }

  /** The host stops: a command is asked to end, a result waits for the host's next life. */
  hostStops(options: { readonly isForced: boolean }): void {
    this.stop(options);
    this.#taken.resolve(undefined);
  }

  /** The answer counts for the workspace only while that is as the command left it. */
  take(answer: Answer): void {
    this.#taken.resolve(answer);
    // A run that opens in the next moment waits for this workspace.
    this.#held?.settle();
  }

  async #live(start: StartMessage, { held, execution }: Resources): Promise<void> {
    const progress = { hasStarted: false };
    try {
      const summary = await this.#execute(start, { held, execution }, progress);
      const changeSet = headOf(summary);
      if (this.#run.visitors.isAnyoneThere || isWorthKeeping(start, changeSet))
        this.#run.waits(changeSet);
      else this.#run.isDone(changeSet);
    } catch (error) {
      this.#report(error);
      if (!progress.hasStarted) {
        await this.#forget(error);
        return;
      }
      this.#run.isLost(error);
    }
    const answer = this.#run.state === 'waiting' ? await this.#answer(held) : undefined;
    await this.#giveBack((workspace) =>
      answer === 'applied' ? workspace.acknowledge() : workspace.restore(),
    );
    const { state, record } = this.#run;
    // Somebody was there to be told that there is nothing, and left without a word.
    if (state === 'waiting' && !isWorthKeeping(record, record.changeSet)) this.#run.isDone();
  }

  async #execute(
    start: StartMessage,
    { held, execution }: Resources,
    progress: { hasStarted: boolean },
  ): Promise<ChangeSetSummary> {
    const run = this.#run;
    await held.workspace.materialize();
    const { id, record } = run;
    const { workspacePath } = held;
    const named = { id, contextId: record.contextId, workspacePath };
    const request = await prepareRequest(start, named, this.#services);
    this.#refuseStopping();
    run.begins({
      command: start.command,
      cwd: start.cwd,
      hasStdin: request.hasStdin,
      hasTerminal: start.terminal !== undefined,
      wantsSyncBack: start.wantsSyncBack,
    });
    const startedUs = nowUs();
    using _grace = this.#endWhenLeft(start.disconnectGraceMs);
    using _patience = this.#endInputWhenLeft(start, execution);
    const report = await execution.run(request, (hasProcess) => {
      progress.hasStarted = true;
      if (hasProcess) run.hasStarted();
    });
    progress.hasStarted = true;
    this.#refuseStopping();
    run.hasExited(report);
    const summary = await held.workspace.collect({
      changeSetFile: run.changeSetFile,
      clockOffsetUs: start.clockOffsetUs,
      startedUs,
      wantsSyncBack: start.wantsSyncBack,
    });
    return summary;
  }

  /** A terminal that nobody sits at is only waiting for somebody. */
  #endInputWhenLeft({ terminal }: StartMessage, { input }: Execution): Disposable | undefined {
    if (terminal !== undefined) return undefined;
    return this.#run.visitors.whenAwayFor(INPUT_PATIENCE_MS, () => input.end());
  }

  #endWhenLeft(graceMs: number | undefined): Disposable | undefined {
    if (graceMs === undefined) return undefined;
    return this.#run.visitors.whenAwayFor(graceMs, () => this.stop({ isForced: false }));
  }

  /** Waits for the client's word as long as somebody is there, and a while for one who may come back. */
  async #answer(held: HeldSlot): Promise<Answer | undefined> {
    const { visitors } = this.#run;
    const letGo = (): void => this.#taken.resolve(undefined);
    if (this.#services.runs.stopping.aborted) letGo();
    using _patience = visitors.whenAwayFor(RESUME_MS, letGo);
    held.whenWanted(() => {
      if (!visitors.isAnyoneThere) letGo();
      return !visitors.isAnyoneThere;
    });
    return await this.#taken.promise;
  }

  async #forget(error: unknown): Promise<void> {
    this.#run.neverBegan(error);
    await this.#giveBack((workspace) => workspace.restore(), { isForgotten: true });
  }

  /** Exactly once, whatever came before. Never rejects: a workspace proves itself at its next use. */
  async #giveBack(
    tidy: (workspace: HeldSlot['workspace']) => Promise<void>,
    { isForgotten = false } = {},
  ): Promise<void> {
    this.#phase = 'over';
    this.#isTidying = true;
    const held = this.#held;
    held?.settle();
    try {
      if (held !== undefined) await tidy(held.workspace);
      await this.#execution?.dispose();
      if (isForgotten) await removeTree(this.#run.directory);
    } catch (error) {
      this.#services.log(
        `the workspace of run ${this.#run.id} is left to the next run: ${describeFailure(error)}`,
      );
    } finally {
      await held?.release();
      this.#run.lifeIsOver();
      this.#settled.resolve(undefined);
    }
  }

  /** A visitor is told, and that is logged. */
  #report(error: unknown): void {
    const isStopping = isRmtxError(error) && error.code === 'ERR_RMTX_HOST_STOPPING';
    if (!isStopping && !this.#run.visitors.isAnyoneThere)
      this.#services.log(`run ${this.#run.id} failed: ${describeFailure(error)}`);
  }

  #refuseStopping(): void {
    if (this.#services.runs.stopping.aborted) throw hostStopping(this.#run);
  }

  #resources(): Resources {
    if (this.#held === undefined || this.#execution === undefined)
      throw new Error('Internal error: a run begins without a workspace');
    return { held: this.#held, execution: this.#execution };
  }
}

interface Resources {
  readonly held: HeldSlot;
  readonly execution: Execution;
}

function headOf(summary: ChangeSetSummary): ChangeSetHead {
  const { manifestId, changes, bytes, ignored, problems } = summary;
  return { manifestId, changes, bytes, ignored, problems: problems.slice(0, MAX_PROBLEMS) };
}

/** Something that its client would come back for. */
function isWorthKeeping(
  { wantsSyncBack }: Pick<RunRecord, 'wantsSyncBack'>,
  changeSet: ChangeSetHead | undefined,
): boolean {
  if (!wantsSyncBack || changeSet === undefined) return false;
  return changeSet.changes > 0 || changeSet.problems.length > 0;
}
