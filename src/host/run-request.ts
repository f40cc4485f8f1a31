import { RmtxError } from '../errors.js';
import type { ClientMessage } from '../protocol/messages.js';
import { buildRunEnvironment } from '../runtime/base-environment.js';
import { parseWorkspacePath } from '../sync/entry.js';
import { printable } from '../util/printable.js';
import { AnchoredRoot } from '../util/safe-path.js';
import type { RunRequest, Run } from './run.js';
import type { HostServices } from './services.js';

/**
 * Turns what the client asked for into what is started: the working directory inside the workspace
 * (made where it was not synced), and the environment, which is built and never inherited.
 */
export async function prepareRequest(
  run: Run,
  start: Extract<ClientMessage, { type: 'start' }>,
  services: HostServices,
): Promise<RunRequest> {
  const workspace = run.held.workspacePath;
  return {
    argv: start.command,
    cwd: makeWorkingDirectory(workspace, start.cwd),
    env: buildRunEnvironment({
      base: await services.baseEnvironment,
      forwarded: start.env,
      workspace,
      contextId: run.record.contextId,
      runId: run.record.id,
    }),
    hasStdin: start.hasStdin,
    timeoutMs: start.timeoutMs,
    wantsSyncBack: start.wantsSyncBack,
    clockOffsetUs: start.clockOffsetUs,
  };
}

function makeWorkingDirectory(workspace: string, cwd: string): string {
  if (cwd === '') return workspace;
  const relative = parseWorkspacePath(cwd);
  if (relative === undefined)
    throw new RmtxError('ERR_RMTX_PATH_INVALID', `${printable(cwd)} is no working directory`);
  using root = AnchoredRoot.open(workspace);
  root.makeDirectories(relative);
  return `${workspace}/${relative}`;
}
