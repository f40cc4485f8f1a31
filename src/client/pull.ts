/**
 * Files out of a workspace on the host, while its run goes on or after it, ignored ones too. They are written as
 * a sync-back writes: what somebody edited here stays, with the host's version beside it. What was pulled and
 * not edited since is replaced, by a later pull and by the run's sync-back.
 */
import { contextKey } from '../config/context-key.js';
import type { ResolvedConfig } from '../config/resolved-config.js';
import { CHANNEL } from '../protocol/messages.js';
import { EntryTable } from '../sync/entry-table.js';
import type { Problem, WorkspacePath } from '../sync/entry.js';
import { quotePattern } from '../sync/patterns.js';
import { NO_RULES } from '../sync/rule-sources.js';
import { SyncRules } from '../sync/rules.js';
import { AnchoredRoot } from '../util/safe-path.js';
import { applyChangeSet, describeConflict } from './apply.js';
import { rememberPulled } from './apply/pulled-files.js';
import { connectForRun } from './connect.js';
import type { ClientHome } from './home.js';
import { chooseHostOfRun } from './host-choice.js';
import { newRunId } from './run-id.js';
import { ProjectState } from './project-state.js';
import { RunTicket } from './run-ticket.js';
import { fetchBlobs, receiveChanges } from './receive-results.js';

export interface PullOptions {
  readonly home: ClientHome;
  readonly config: ResolvedConfig;
  /** `--host`. */
  readonly host: string | undefined;
  /** `--discovery-timeout`. */
  readonly discoveryTimeoutMs: number | undefined;
  /** Undefined: the run of this project that goes on, or else the workspace kept for the next. */
  readonly runId: string | undefined;
  readonly paths: readonly WorkspacePath[];
  readonly onDialedBack?: (() => void) | undefined;
  readonly warn: (line: string) => void;
}

export interface PullReport {
  readonly changed: readonly string[];
  readonly conflicts: readonly { readonly path: string; readonly description: string }[];
  readonly problems: readonly Problem[];
  /** Of the paths that were asked for: nothing is there. */
  readonly missing: readonly string[];
  /** Fetched. */
  readonly bytes: number;
}

/** Rejects, with the project as it was, where the host or the disk fails. */
export async function pullFiles(options: PullOptions): Promise<PullReport> {
  const { home, config, warn } = options;
  using root = AnchoredRoot.open(config.projectRoot);
  const key = contextKey(config.projectRoot, config.contextName);
  const state = new ProjectState(home, { key, root: root.path });
  const ticket =
    options.runId === undefined
      ? RunTicket.newest(state.directory)
      : RunTicket.find(home, options.runId);
  // What the run began with: whatever is still that here was not edited, and may be replaced.
  const table = ticket?.loadTable() ?? state.lastScan?.table ?? EntryTable.empty;
  const host = await connectForRun({
    home,
    choice: chooseHostOfRun(
      { ...options, named: options.host },
      options.runId === undefined ? undefined : ticket?.details,
    ),
    onDialedBack: options.onDialedBack,
    onNotice: (_code, message) => warn(`the host says: ${message}`),
  });
  try {
    host.send({ type: 'pull', runId: options.runId, contextKey: key, paths: options.paths });
    await host.welcome;
    const pulled = await host.inbox.next('pulled');
    const changes = await receiveChanges(host, pulled.changes);
    let bytes = 0;
    const applied = await applyChangeSet({
      root,
      clientHome: home.directory,
      stateDirectory: state.directory,
      runId: newRunId(),
      table,
      rules: rulesFor(options.paths),
      allowMassDelete: false,
      changes,
      fetch: (wanted, sink) => {
        const onPiece = (byteCount: number): void => void (bytes += byteCount);
        const requests = host.connection.openSend(CHANNEL.resultRequests);
        return fetchBlobs(host, requests, { wanted, sink, onPiece });
      },
    });
    const written = { paths: applied.changed, changes, table: applied.table };
    rememberPulled(state.directory, root, written);
    return {
      changed: applied.changed,
      conflicts: applied.conflicts.map((conflict) => ({
        path: conflict.path,
        description: describeConflict(conflict),
      })),
      problems: [...pulled.problems, ...applied.problems],
      missing: pulled.missing,
      bytes,
    };
  } finally {
    host.connection.destroy();
  }
}

/** What was asked for by name may come home whatever the project's rules say, and nothing else. */
function rulesFor(paths: readonly WorkspacePath[]): SyncRules {
  return new SyncRules({ ...NO_RULES, syncBack: paths.map(quotePattern) });
}
