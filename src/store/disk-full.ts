import { RmtxError, systemErrorCode } from '../errors.js';
import { printable } from '../util/printable.js';

/**
 * What to throw for a failed write: DISK_FULL that names where there is no space or quota left, the
 * error itself otherwise.
 */
export function explainWriteError(error: unknown, where: string): unknown {
  const code = systemErrorCode(error);
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  const what = code === 'ENOSPC' ? 'no space left' : 'the disk quota is used up';
  return new RmtxError('ERR_RMTX_DISK_FULL', `${what} on the device of ${printable(where)}`, {
    cause: error,
    hint: 'free some space there, or run rmtx cache prune, and try again',
  });
}
