import { realpathSync } from 'node:fs';
import path from 'node:path';
import { RmtxError, systemErrorCode } from '../errors.js';
import { printable } from '../util/printable.js';

/**
 * The command as it was typed. Arguments that are not Unicode cannot be carried exactly (Node hands
 * them over with U+FFFD in the place of the odd bytes), so they are refused instead of changed.
 */
export function exactCommand(command: readonly string[]): readonly string[] {
  const bad = command.find((argument) => argument.includes('\uFFFD') || !isWellFormed(argument));
  if (bad !== undefined)
    throw new RmtxError(
      'ERR_RMTX_COMMAND_NOT_UNICODE',
      `the argument ${printable(bad)} is not valid Unicode and cannot be carried exactly`,
      { hint: 'put it into a script in the project and run that' },
    );
  return command;
}

/**
 * The local directory as the host knows it: relative to the project root, '' for the root itself. It
 * need not exist.
 */
export function projectWorkingDirectory(projectRoot: string, cwd: string): string {
  const relative = path.relative(projectRoot, realPathOf(cwd)).split(path.sep).join('/');
  if (relative === '..' || relative.startsWith('../') || path.isAbsolute(relative))
    throw new RmtxError(
      'ERR_RMTX_BAD_ARGUMENT',
      `the working directory ${printable(cwd)} is not in the project ${printable(projectRoot)}`,
      { hint: 'change into the project, or say --cwd DIR' },
    );
  if (relative.includes('\uFFFD'))
    throw new RmtxError(
      'ERR_RMTX_COMMAND_NOT_UNICODE',
      `the working directory ${printable(cwd)} is not valid Unicode and cannot be carried exactly`,
    );
  return relative;
}

/** With links resolved as far as the path exists; the rest is made on the host. */
function realPathOf(directory: string): string {
  try {
    return realpathSync(directory);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    return path.join(realPathOf(path.dirname(directory)), path.basename(directory));
  }
}

function isWellFormed(text: string): boolean {
  return !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text);
}
