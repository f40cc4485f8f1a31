import { isRefusedFromHost } from './own-names.js';
import { GITIGNORED } from './rule-sources.js';
import type { RuleSources } from './rule-sources.js';
import { SyncRules } from './rules.js';
import type { PathKind } from './rules.js';

/**
 * The client's rules, asked the host's questions: about what a command left in its workspace. Built for
 * one run, because a .gitignore that the command wrote counts as well.
 */
export class WorkspaceRules {
  readonly sources: RuleSources;
  readonly #rules: SyncRules;
  /**
   * Only what `keep_on_host` says, for the whole workspace: a directory that is in no mount, or lies in
   * an ignored one, is kept as its owner asked.
   */
  readonly #keeping: SyncRules;
  /** Only what .gitignore files of this run's making say. */
  #written: SyncRules | undefined;

  constructor(sources: RuleSources) {
    this.sources = sources;
    this.#rules = new SyncRules(sources);
    const keepsGitignored = sources.keepOnHost.includes(GITIGNORED);
    this.#keeping = new SyncRules({
      ...sources,
      mounts: WHOLE_WORKSPACE,
      ignore: [],
      gitignore: keepsGitignored ? sources.gitignore : null,
    });
  }

  get honoursGitignore(): boolean {
    return this.sources.gitignore !== null;
  }

  /** True for what stays in the workspace from run to run, whatever the manifest says. */
  isKept(path: string, kind: PathKind): boolean {
    return this.#keeping.explain(path, kind).kind === 'kept';
  }

  /** True for what may be sent home of what the run made. */
  isNewEligible(path: string, kind: PathKind): boolean {
    if (!this.isSentEligible(path, kind)) return false;
    return !this.#isIgnoredByRun(path, kind) || this.#rules.namesInSyncBack(path);
  }

  /**
   * True for what may be sent home of what the client sent. A .gitignore of this run's making is not about that:
   * git does not ignore what it tracks either.
   */
  isSentEligible(path: string, kind: PathKind): boolean {
    return this.#rules.isSyncBackEligible(path, kind);
  }

  /** True for what belongs to the manifest; what `sync_back` names need not. */
  isInManifest(path: string, kind: PathKind): boolean {
    return this.#rules.isInManifest(path, kind);
  }

  /** True for what was sent, or would have been, and yet never comes home: `.git` and rmtx's settings. */
  isRefused(path: string, kind: PathKind): boolean {
    return isRefusedFromHost(path) && this.#rules.explain(path, kind).kind === 'synced';
  }

  /** True for what a rule keeps from being sent, in either direction. */
  isIgnored(path: string, kind: PathKind): boolean {
    return this.#rules.explain(path, kind).kind === 'ignored' || this.#isIgnoredByRun(path, kind);
  }

  /** False when surely nothing below this directory, which may not be sent itself, may be. */
  canHoldEligible(directory: string): boolean {
    return this.#rules.canHoldSyncBack(directory) || this.#rules.holdsMount(directory);
  }

  /**
   * Adds a .gitignore that is not the client's: what it ignores is not sent either. What it takes back of
   * the client's own lines does not count until the client has it.
   */
  addWritten(directory: string, text: string): void {
    if (!this.honoursGitignore) return;
    const file = {
      directory,
      source: directory === '' ? GITIGNORE_NAME : `${directory}/${GITIGNORE_NAME}`,
      text,
    };
    this.#keeping.addGitignore(file);
    this.#written ??= new SyncRules({
      ...this.sources,
      mounts: WHOLE_WORKSPACE,
      ignore: [],
      syncBack: null,
      keepOnHost: [],
      gitignore: [],
    });
    this.#written.addGitignore(file);
  }

  #isIgnoredByRun(path: string, kind: PathKind): boolean {
    return this.#written?.explain(path, kind).kind === 'ignored';
  }
}

export const GITIGNORE_NAME = '.gitignore';
const WHOLE_WORKSPACE = [{ path: '', exclude: [] }] as const;
