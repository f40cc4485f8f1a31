/**
 * A host that the system starts by itself: a unit of the user's systemd, a launch agent, a scheduled task.
 * Nothing that rmtx did not write is overwritten or removed, and a step that fails is taken back.
 */
import { rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { RmtxError } from '../errors.js';
import { printable } from '../util/printable.js';
import { launchdManager } from './autostart/launchd.js';
import { MARKER, firstLine, runAll, runProgram, shellLine } from './autostart/manager.js';
import type { ServiceManager } from './autostart/manager.js';
import { taskManager } from './autostart/scheduled-task.js';
import { systemdManager } from './autostart/systemd.js';

export type { ServiceManager } from './autostart/manager.js';

/** Throws AUTOSTART_UNAVAILABLE where nothing can start a host by itself. */
export function serviceManager(options: {
  /** The command line of the host. */
  readonly command: readonly string[];
  /** True: nothing will be done, so nothing has to be there. */
  readonly isOnlyPlanned: boolean;
}): Promise<ServiceManager> {
  if (process.platform === 'darwin') return Promise.resolve(launchdManager());
  if (process.platform === 'win32') return Promise.resolve(taskManager());
  return systemdManager(options);
}

/** What an installation would do, or is about to do. */
export interface AutostartPlan {
  readonly text: string;
  readonly change: 'new' | 'changed' | 'none';
  readonly commands: readonly (readonly string[])[];
}

/** Throws AUTOSTART_NOT_OURS where somebody else's file is in the way, unless that may be replaced. */
export async function planAutostart(
  manager: ServiceManager,
  options: {
    readonly command: readonly string[];
    readonly start: 'now' | 'later';
    readonly mayReplace: boolean;
  },
): Promise<AutostartPlan> {
  const text = manager.text(options.command);
  const before = await manager.existing();
  if (before !== undefined && !before.includes(MARKER) && !options.mayReplace)
    throw notOurs(manager, 'look at it, and replace it with --force');
  // What schtasks gives back is the same task in other words.
  const isSame = before === text;
  const change = before === undefined ? 'new' : isSame ? 'none' : 'changed';
  const isRunning = change === 'changed' && (await manager.isActive());
  const now = isRunning ? 'restart' : 'start';
  return { text, change, commands: manager.enabling(options.start === 'later' ? 'later' : now) };
}

/** Throws AUTOSTART_FAILED; what was there before is there again then. */
export async function installAutostart(
  manager: ServiceManager,
  { text, change, commands }: AutostartPlan,
): Promise<void> {
  const before = change === 'new' ? undefined : await manager.existing();
  if (change !== 'none') manager.write(text);
  try {
    await runAll(commands);
  } catch (error) {
    // As far as it goes: what failed is what is told.
    if (before === undefined) {
      for (const command of await manager.disabling()) await runProgram(command);
      rmSync(manager.file, { force: true });
    } else manager.write(before);
    for (const command of manager.forgetting()) await runProgram(command);
    throw error;
  }
}

/**
 * Ends the host and its starting, and removes what rmtx wrote; the host's state stays. Throws
 * AUTOSTART_NOT_OURS for another's file. False where nothing was installed.
 */
export async function uninstallAutostart(manager: ServiceManager): Promise<boolean> {
  const before = await manager.existing();
  if (before === undefined) return false;
  if (!before.includes(MARKER)) throw notOurs(manager, 'remove it yourself if it is of no use');
  await runAll(await manager.disabling());
  rmSync(manager.file, { force: true });
  await runAll(manager.forgetting());
  return true;
}

/** Has the user's services go on without the user; resolves with why that was refused. */
export async function enableLinger(manager: ServiceManager): Promise<string | undefined> {
  const { linger } = manager;
  if (linger === undefined) return undefined;
  const { code, stderr } = await runProgram(linger.enabling);
  if (code === 0 && (await linger.isOn())) return undefined;
  return firstLine(stderr) ?? 'it was refused';
}

/** As somebody would type it. */
export function commandText(command: readonly string[]): string {
  return process.platform === 'win32'
    ? command.map((word) => `"${word}"`).join(' ')
    : shellLine(command);
}

/** Why a program will not be where it is for long; undefined: nothing is known against it. */
export function vanishesBecause(file: string): string | undefined {
  const parts = file.split(/[\\/]/);
  if (parts.includes('_npx')) return 'it lies in the cache of npx';
  if (parts.some((part) => part.startsWith('fnm_multishell')))
    return 'it belongs to one shell (fnm)';
  const temporary = [os.tmpdir(), '/tmp', '/var/tmp', '/dev/shm', '/run'];
  const isBelow = temporary.some((directory) => file.startsWith(directory + path.sep));
  return isBelow ? 'it lies in a directory for temporary files' : undefined;
}

function notOurs({ file, kind }: ServiceManager, hint: string): RmtxError {
  const what = kind === 'task-scheduler' ? 'the task rmtx-host' : printable(file);
  return new RmtxError('ERR_RMTX_AUTOSTART_NOT_OURS', `${what} was not written by rmtx`, { hint });
}
