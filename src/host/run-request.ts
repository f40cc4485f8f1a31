import { RmtxError } from '../errors.js';
import type { ClientMessage } from '../protocol/messages.js';
import { buildRunEnvironment } from '../runtime/base-environment.js';
import { parseWorkspacePath } from '../sync/entry.js';
import { printable } from '../util/printable.js';
import { AnchoredRoot } from '../util/safe-path.js';
import type { RunRequest } from './execution.js';
import type { HostServices } from './services.js';

export type StartMessage = Extract<ClientMessage, { type: 'start' }>;

/**
 * Turns what the client asked for into what is started: the working directory inside the workspace
 * (made where it was not synced), and the environment, which is built and never inherited.
 */
export async function prepareRequest(
  start: StartMessage,
  run: { readonly id: string; readonly contextId: string; readonly workspacePath: string },
  services: Pick<HostServices, 'baseEnvironment'>,
): Promise<RunRequest> {
  return {
    argv: start.command,
    cwd: makeWorkingDirectory(run.workspacePath, start.cwd),
    env: buildRunEnvironment({
      base: await services.baseEnvironment,
      forwarded: start.env,
      workspace: run.workspacePath,
      contextId: run.contextId,
      runId: run.id,
    }),
    // At a terminal somebody can always sit down later.
    hasStdin: start.terminal !== undefined || (start.hasStdin && !start.isDetached),
    terminal: start.terminal,
    timeoutMs: start.timeoutMs,
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
