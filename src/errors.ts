/**
 * The one error class and the list of every code a user or a peer can meet.
 *
 * A code is stable: scripts and the other side of a connection test it. The family says who has to
 * act. A plain `Error` is a bug in rmtx and is printed as one.
 */

export type ErrorFamily =
  'usage' | 'config' | 'trust' | 'connection' | 'protocol' | 'content' | 'runtime' | 'state';

const families = {
  ERR_RMTX_UNKNOWN_COMMAND: 'usage',
  ERR_RMTX_BAD_FLAG: 'usage',
  ERR_RMTX_BAD_ARGUMENT: 'usage',
  ERR_RMTX_MISSING_COMMAND: 'usage',
  ERR_RMTX_NEEDS_TERMINAL: 'usage',

  ERR_RMTX_CONFIG_NOT_FOUND: 'config',
  ERR_RMTX_CONFIG_EXISTS: 'config',
  ERR_RMTX_CONFIG_INVALID: 'config',
  ERR_RMTX_CONFIG_UNTRUSTED: 'config',
  ERR_RMTX_MOUNT_MISSING: 'config',
  ERR_RMTX_SYNC_BACK_OUTSIDE_MOUNTS: 'config',
  ERR_RMTX_PROJECT_ROOT_REFUSED: 'config',

  ERR_RMTX_NOT_PAIRED: 'trust',
  ERR_RMTX_FINGERPRINT_MISMATCH: 'trust',
  ERR_RMTX_PAIRING_CODE_INVALID: 'trust',
  ERR_RMTX_PAIRING_CODE_WRONG: 'trust',
  ERR_RMTX_PAIRING_CODE_EXPIRED: 'trust',
  ERR_RMTX_PAIRING_CLOSED: 'trust',
  ERR_RMTX_PAIRING_LOCKED_OUT: 'trust',
  ERR_RMTX_PAIRING_FAILED: 'trust',
  ERR_RMTX_PAIRING_BUSY: 'trust',
  ERR_RMTX_UNKNOWN_HOST: 'trust',

  ERR_RMTX_HOST_NOT_SET: 'connection',
  ERR_RMTX_HOST_NOT_FOUND: 'connection',
  ERR_RMTX_HOST_UNREACHABLE: 'connection',
  ERR_RMTX_CONNECTION_LOST: 'connection',
  ERR_RMTX_TIMED_OUT: 'connection',

  ERR_RMTX_VERSION_MISMATCH: 'protocol',
  ERR_RMTX_BAD_MESSAGE: 'protocol',
  ERR_RMTX_FRAME_TOO_LARGE: 'protocol',

  ERR_RMTX_DIGEST_MISMATCH: 'content',
  ERR_RMTX_BLOB_MISSING: 'content',
  ERR_RMTX_PATH_ESCAPES_ROOT: 'content',
  ERR_RMTX_PATH_INVALID: 'content',
  ERR_RMTX_NAME_COLLISION: 'content',
  ERR_RMTX_MASS_DELETE: 'content',
  ERR_RMTX_MANIFEST_MISMATCH: 'content',

  ERR_RMTX_COMMAND_NOT_FOUND: 'runtime',
  ERR_RMTX_COMMAND_NOT_EXECUTABLE: 'runtime',
  ERR_RMTX_COMMAND_NOT_UNICODE: 'runtime',
  ERR_RMTX_RUNTIME_UNAVAILABLE: 'runtime',

  ERR_RMTX_STATE_IN_USE: 'state',
  ERR_RMTX_STATE_CORRUPT: 'state',
  ERR_RMTX_STATE_UNSAFE: 'state',
  ERR_RMTX_DISK_FULL: 'state',
  ERR_RMTX_APPLY_FAILED: 'state',
  ERR_RMTX_OUTPUT_FAILED: 'state',
  ERR_RMTX_CONTEXT_NOT_FOUND: 'state',
  ERR_RMTX_CONTEXT_BUSY: 'state',
  ERR_RMTX_RUN_NOT_FOUND: 'state',
  ERR_RMTX_RUN_LOST: 'state',
  ERR_RMTX_RUN_TAKEN_OVER: 'state',
  ERR_RMTX_CLIENT_NOT_FOUND: 'state',
  ERR_RMTX_HOST_STOPPING: 'state',
  ERR_RMTX_HOST_NOT_RUNNING: 'state',
  ERR_RMTX_CANNOT_LISTEN: 'state',
  ERR_RMTX_WAKE_ADDRESS_UNKNOWN: 'state',
  ERR_RMTX_AUTOSTART_UNAVAILABLE: 'state',
  ERR_RMTX_AUTOSTART_NOT_OURS: 'state',
  ERR_RMTX_AUTOSTART_FAILED: 'state',
  ERR_RMTX_HOST_FAILED: 'state',
  ERR_RMTX_INTERRUPTED: 'state',
} as const satisfies Record<string, ErrorFamily>;

export type ErrorCode = keyof typeof families;

export interface ErrorDetails {
  /** The next thing to type or to check, one line. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
  /** True where the same call may succeed later without anybody changing anything. */
  readonly isRetryable?: boolean;
}

/** Survives two copies of this module in one process (each command is bundled on its own). */
const brand = Symbol.for('rmtx.error');

/** A failure that a person can act on: a stable code, one sentence with the offending value, a hint. */
export class RmtxError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly isRetryable: boolean;
  readonly [brand] = true;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'RmtxError';
    this.code = code;
    this.hint = details.hint;
    this.isRetryable = details.isRetryable ?? families[code] === 'connection';
  }

  get family(): ErrorFamily {
    return families[this.code];
  }
}

/** True for an RmtxError, also one made by another bundle's copy of this module. */
export function isRmtxError(error: unknown): error is RmtxError {
  return typeof error === 'object' && error !== null && brand in error;
}

/** True when `text` is one of our codes: what the other side sent may be anything. */
export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === 'string' && Object.hasOwn(families, text);
}

/** Every code, for the test that sends each through the wire and for the table in the docs. */
export function allErrorCodes(): ErrorCode[] {
  return Object.keys(families) as ErrorCode[];
}

/** The `code` of a system error (`ENOENT`, `EACCES` …), or undefined for anything else. */
export function systemErrorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
