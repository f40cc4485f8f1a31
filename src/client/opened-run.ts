/**
 * A run up to its start: connect and open it while the project is scanned, bring the host to the same
 * files, keep what it takes to come back, start the command. Nothing runs before the last of it, so a
 * connection that breaks on the way costs nothing but the way: the host drops the run, and it is opened
 * again. What had been sent is there already then.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { contextKey } from '../config/context-key.js';
import { forwardedEnvironment } from '../config/env-forward.js';
import type { ClientMessage, HostMessage } from '../protocol/messages.js';
import { systemErrorCode } from '../errors.js';
import { explainWriteError } from '../store/disk-full.js';
import type { AnchoredRoot } from '../util/safe-path.js';
import { AheadEntries } from './ahead-entries.js';
import { AheadFiles } from './ahead-files.js';
import { projectWorkingDirectory } from './command.js';
import { isConnectionLoss } from './connect.js';
import type { HostConnection } from './connect.js';
import type { HostLink } from './host-link.js';
import type { ProjectScan } from './project-scan.js';
import type { BaseKey, ProjectState } from './project-state.js';
import type { RunOptions } from './run.js';
import type { RunTeller } from './run-teller.js';
import { RunTicket } from './run-ticket.js';
import { terminalEnvironment } from './terminal.js';
import { uploadProject } from './upload.js';
import type { UploadResult } from './upload.js';

export interface OpenedRunOptions {
  readonly runId: string;
  readonly options: RunOptions;
  readonly root: AnchoredRoot;
  readonly state: ProjectState;
  readonly project: ProjectScan;
  readonly link: HostLink;
  readonly teller: RunTeller;
  readonly hasStdin: boolean;
}

type RunOpened = Extract<HostMessage, { type: 'run_opened' }>;
type Start = Extract<ClientMessage, { type: 'start' }>;

interface Opening {
  readonly host: HostConnection;
  readonly opened: Promise<RunOpened>;
}

interface FirstOpened {
  readonly host: HostConnection;
  readonly takesEntriesAhead: boolean;
}

/** What was agreed on when the run was started. */
export interface Agreement {
  readonly key: BaseKey;
  readonly uploaded: UploadResult;
}

export class OpenedRun implements Disposable {
  readonly #around: OpenedRunOptions;
  #scan: Promise<unknown> | undefined;
  #agreement: Agreement | undefined;
  #ticket: RunTicket | undefined;
  /** Sent over all connections. */
  #uploadedBytes = 0;
  #ahead: AheadFiles | undefined;
  #isKnown = false;
  #hasTold = false;

  constructor(around: OpenedRunOptions) {
    this.#around = around;
  }

  /** Of the last {@link start}. */
  get agreement(): Agreement {
    if (this.#agreement === undefined) throw new Error('Internal error: the run was not started');
    return this.#agreement;
  }

  /** Undefined before there is anything to come back to. */
  get ticket(): RunTicket | undefined {
    return this.#ticket;
  }

  get uploadedBytes(): number {
    return this.#uploadedBytes + (this.#ahead?.bytes ?? 0);
  }

  /**
   * Resolves with the connection on which the command was started. To be called once more where the host
   * turns out not to have the run after all.
   */
  async start(): Promise<HostConnection> {
    const { teller } = this.#around;
    // The scan has this thread to itself for a while: before it the first packet is to be on its way.
    let opening =
      this.#agreement === undefined ? teller.step('connect', () => this.#open()) : this.#open();
    let hasFailed = false;
    opening.catch(() => (hasFailed = true));
    const first = opening.then(async ({ host, opened }) => {
      const { takesEntriesAhead } = await opened;
      return { host, takesEntriesAhead };
    });
    first.catch(() => undefined);
    this.#scan ??= nextTurn().then(() => (hasFailed ? undefined : this.#scanProject(first)));
    for (;;) {
      const [{ host, opened }] = await bothOrFirstError(opening, this.#scan);
      try {
        await this.#prepare(host, await opened);
        host.send(await this.#startMessage(host));
        return host;
      } catch (error) {
        if (!isConnectionLoss(error)) throw error;
        opening = this.#open();
      }
    }
  }

  [Symbol.dispose](): void {
    this.#ticket?.[Symbol.dispose]();
  }

  async #scanProject(first: Promise<FirstOpened>): Promise<void> {
    const { project, teller } = this.#around;
    const host = first.then((opened) => opened.host);
    // Asked for only where there are large files.
    host.catch(() => undefined);
    const largeFiles = new AheadFiles(host, ({ done, total }) =>
      teller.emit({ type: 'progress', step: 'upload', done, total, unit: 'bytes' }),
    );
    this.#ahead = largeFiles;
    const entriesAhead = new AheadEntries({
      host: first.then(({ host, takesEntriesAhead }) => (takesEntriesAhead ? host : undefined)),
      kept: project.kept,
      onSent: (byteCount) => (this.#uploadedBytes += byteCount),
    });
    const { problems } = await teller.step('scan', () =>
      project.scan(
        (done) =>
          teller.emit({
            type: 'progress',
            step: 'scan',
            done,
            unit: 'files',
            sentBytes: this.#uploadedBytes,
          }),
        { entriesAhead, largeFiles },
      ),
    );
    for (const problem of problems) teller.emit({ type: 'problem', ...problem });
  }

  /** The host gets its workspace ready while the project is still scanned here. */
  async #open(): Promise<Opening> {
    const { link, runId, options, state } = this.#around;
    const { config, label } = options;
    // On a later connection the scan is over, and what it has found is as good as asked for.
    const offersEntriesAhead = this.#scan === undefined && state.lastScan === undefined;
    const { host, answer } = await link.connect(async (connected) => {
      connected.send({
        type: 'run_open',
        runId,
        contextKey: contextKey(config.projectRoot, config.contextName),
        contextName: config.contextName,
        label: label ?? '',
        offersEntriesAhead,
      });
      await connected.welcome;
      const opened = connected.inbox.next('run_opened');
      opened.catch(() => undefined);
      // Found again is only a host that takes the run.
      if (this.#isKnown) await opened;
      this.#isKnown = true;
      return { opened };
    });
    return { host, opened: answer.opened };
  }

  /** Brings the host to what the project is, and keeps what it takes to come back. */
  async #prepare(host: HostConnection, opened: RunOpened): Promise<void> {
    const { root, state, project, teller } = this.#around;
    await this.#tell(host, opened);
    const key = { fingerprint: host.fingerprint, slot: opened.slot };
    const { table, rules } = project.latest;
    const uploaded = await teller.step('upload', () =>
      uploadProject({
        host,
        root,
        rules,
        base: opened.base === null ? undefined : state.base(key, opened.base),
        table,
        rescan: (paths) => project.rescan(paths),
        snapshotOf: (digest) => project.snapshotOf(digest),
        keptContentOf: (digest) => project.keptContentOf(digest),
        onProgress: ({ done, total }) =>
          teller.emit({ type: 'progress', step: 'upload', done, total, unit: 'bytes' }),
      }),
    );
    project.releaseContents();
    this.#uploadedBytes += uploaded.bytes;
    this.#agreement = { key, uploaded };
    this.#ticket?.[Symbol.dispose]();
    this.#ticket = this.#keepTicket(host, this.#agreement);
  }

  async #tell(host: HostConnection, opened: RunOpened): Promise<void> {
    const { teller, runId } = this.#around;
    if (this.#hasTold) return;
    this.#hasTold = true;
    const { name } = await host.welcome;
    const { workspace, isCold, slot, waiting } = opened;
    const { address } = host;
    teller.emit({ type: 'run', runId, host: name, address, workspace, isCold, slot });
    if (waiting.length > 0) teller.info('runs-waiting', waitingWords(waiting));
  }

  /** Without one the run is as good as any while this process lives; so a full disk is no reason not to start. */
  #keepTicket(host: HostConnection, agreement: Agreement): RunTicket | undefined {
    const { options, state, teller } = this.#around;
    try {
      return this.#writeTicket(host, agreement);
    } catch (error) {
      const explained = explainWriteError(error, state.directory);
      if (options.isDetached || systemErrorCode(error) === undefined) throw explained;
      teller.info('no-ticket', `this run cannot be come back to: ${String(explained)}`);
      return undefined;
    }
  }

  #writeTicket(host: HostConnection, { key, uploaded }: Agreement): RunTicket {
    const { runId, options, root, state, project } = this.#around;
    const { config, command, hasSyncBack, allowMassDelete } = options;
    return RunTicket.write(
      state.directory,
      {
        runId,
        fingerprint: key.fingerprint,
        address: host.address,
        projectRoot: root.path,
        contextKey: contextKey(config.projectRoot, config.contextName),
        slot: key.slot,
        command,
        startedAt: new Date().toISOString(),
        hasSyncBack,
        allowMassDelete,
        rules: project.latest.rules,
      },
      { table: uploaded.table, saved: state.fileOf(uploaded.table) },
    );
  }

  async #startMessage(host: HostConnection): Promise<Start> {
    const { options, hasStdin, link } = this.#around;
    const { config, command, cwd, env, timeoutMs, hasSyncBack } = options;
    const { clockOffsetUs } = await host.welcome;
    // Given up while the last file was on its way: nothing may run then.
    link.abortSignal.throwIfAborted();
    return {
      type: 'start',
      command,
      cwd: projectWorkingDirectory(config.projectRoot, cwd),
      env: new Map([
        ...(options.terminal === undefined ? [] : terminalEnvironment()),
        ...Object.entries(forwardedEnvironment(config.envForward, process.env)),
        ...env,
      ]),
      hasStdin,
      timeoutMs,
      wantsSyncBack: hasSyncBack,
      clockOffsetUs,
      terminal: options.terminal,
      isDetached: options.isDetached,
      disconnectGraceMs: options.disconnectGraceMs,
    };
  }
}

function waitingWords(ids: readonly string[]): string {
  const [only = '', ...others] = ids;
  const attach = ids.map((id) => `rmtx attach ${id}`).join(', ');
  return others.length === 0
    ? `run ${only} of this project is over and waits: ${attach}`
    : `${ids.length} runs of this project are over and wait: ${attach}`;
}

/** Both results; when one fails its error comes at once and the other's is not lost as unhandled. */
async function bothOrFirstError<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  a.catch(() => undefined);
  b.catch(() => undefined);
  return Promise.all([a, b]);
}
