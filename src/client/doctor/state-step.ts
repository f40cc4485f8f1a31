import { randomBytes } from 'node:crypto';
import { rmSync, statSync, writeFileSync } from 'node:fs';
import type { Stats } from 'node:fs';
import path from 'node:path';
import { isRmtxError, systemErrorCode } from '../../errors.js';
import { loadIdentity } from '../../trust/identity.js';
import type { Identity } from '../../trust/identity.js';
import { PRIVATE_FILE_MODE } from '../../util/atomic-file.js';
import { identityDirectory } from '../home.js';
import type { ClientHome } from '../home.js';
import { failed, ok, warning } from './verdict.js';
import type { Finding } from './verdict.js';

/** What a run writes at least: a page of the smallest file system. */
const TRIAL_BYTES = 4096;

export interface CheckedState {
  readonly finding: Finding;
  /** Undefined before the first pairing, and where it cannot be used. */
  readonly identity: Identity | undefined;
}

/** Whether rmtx's own directory at home is this user's alone and takes a file, and the key in it is good. */
export function checkState(home: ClientHome): CheckedState {
  const { directory } = home;
  const stats = statsOf(directory);
  if (stats === undefined) return { finding: neverUsed(home), identity: undefined };
  const trouble = troubleWithDirectory(directory, stats) ?? troubleWithWriting(directory);
  if (trouble !== undefined) return { finding: trouble, identity: undefined };
  try {
    const identity = loadIdentity(identityDirectory(home));
    const finding = identity === undefined ? neverUsed(home) : privacyOf(directory, stats);
    return { finding, identity };
  } catch (error) {
    return { finding: unusable(error), identity: undefined };
  }
}

function statsOf(directory: string): Stats | undefined {
  try {
    return statSync(directory);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) return undefined;
    throw error;
  }
}

function neverUsed({ directory }: ClientHome): Finding {
  return warning(`${directory} holds no key yet`, {
    code: 'not-paired',
    cause: 'rmtx has not been used here, or RMTX_HOME names another place than before',
    cure: ["in the project's top folder: rmtx init"],
  });
}

function troubleWithDirectory(directory: string, stats: Stats): Finding | undefined {
  if (!stats.isDirectory())
    return failed(`${directory} is not a directory`, {
      code: 'state-unusable',
      cause: 'rmtx keeps its state there',
      cure: ['move it away, or name another place with RMTX_HOME'],
    });
  const user = process.geteuid?.();
  if (user !== undefined && stats.uid !== user)
    return failed(`${directory} belongs to another user (uid ${stats.uid})`, {
      code: 'state-not-writable',
      cause: `this process runs as uid ${user}, perhaps because of sudo`,
      cure: [`sudo chown -R ${user} ${directory}`, 'or run rmtx as the user who paired'],
    });
  return undefined;
}

/** Asked by doing it: a mode does not tell of read-only file systems, full disks and quotas. */
function troubleWithWriting(directory: string): Finding | undefined {
  const file = path.join(directory, `.doctor-${randomBytes(6).toString('hex')}.tmp`);
  try {
    writeFileSync(file, Buffer.alloc(TRIAL_BYTES), { flag: 'wx', mode: PRIVATE_FILE_MODE });
    return undefined;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    const detail = `${directory} takes no file (${code})`;
    return code === 'ENOSPC' || code === 'EDQUOT'
      ? failed(detail, {
          code: 'disk-full-here',
          cause: 'the disk of this machine is full, or your quota is used up',
          cure: ['free some space here; rmtx cache prune frees what it does not need'],
        })
      : failed(detail, {
          code: 'state-not-writable',
          cause: 'the directory, or its file system, lets this user write nothing',
          cure: [`chmod 700 ${directory}`, 'or name another place with RMTX_HOME'],
        });
  } finally {
    rmSync(file, { force: true });
  }
}

/** Keys and lists of hosts are checked when they are read; what lies beside them is only names and digests. */
function privacyOf(directory: string, stats: Stats): Finding {
  const mode = process.platform === 'win32' ? 0 : stats.mode & 0o077;
  if (mode === 0) return ok(`${directory} is private and can be written`);
  const trouble = { code: 'state-not-private', cure: [`chmod 700 ${directory}`] } as const;
  const shown = (stats.mode & 0o777).toString(8);
  return (mode & 0o022) === 0
    ? warning(`${directory} is open to other users (mode ${shown})`, {
        ...trouble,
        cause: 'others can see which projects and hosts you use',
      })
    : failed(`${directory} can be written by other users (mode ${shown})`, {
        ...trouble,
        cause: 'others could replace what rmtx remembers, and with it the host that you trust',
      });
}

function unusable(error: unknown): Finding {
  if (!isRmtxError(error) && systemErrorCode(error) === undefined) throw error;
  const { message, hint } = isRmtxError(error)
    ? error
    : { message: String(error), hint: undefined };
  return failed(message, {
    code: 'state-unusable',
    cause: "this machine's key cannot be used as it is, so no host would know it",
    cure: [hint ?? 'see who owns the file, and what its mode is'],
  });
}
