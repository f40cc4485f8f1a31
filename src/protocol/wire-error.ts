/** An RmtxError as a JSON object, and back: the code survives the wire, the text is made harmless. */
import { RmtxError, isErrorCode, isRmtxError } from '../errors.js';
import { printable } from '../util/printable.js';

export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
  readonly retryable: boolean;
}

const MAX_CODE_LENGTH = 64;
const MAX_TEXT_LENGTH = 2000;

/**
 * What to send. Anything that is no RmtxError is a bug of this side: the other side learns that and its
 * message, never the stack.
 */
export function encodeWireError(error: unknown): WireError {
  if (isRmtxError(error))
    return {
      code: error.code,
      message: cap(error.message, MAX_TEXT_LENGTH),
      hint: error.hint === undefined ? null : cap(error.hint, MAX_TEXT_LENGTH),
      retryable: error.isRetryable,
    };
  const text = error instanceof Error ? error.message : String(error);
  return {
    code: 'ERR_RMTX_HOST_FAILED',
    message: cap(`this is a bug in rmtx: ${text}`, MAX_TEXT_LENGTH),
    hint: null,
    retryable: false,
  };
}

/**
 * The error that a peer sent; never throws. A code that this build does not know becomes BAD_MESSAGE
 * with code and text in its message, so that a newer peer's reason still reaches the user.
 */
export function parseWireError(value: unknown): RmtxError {
  const record = typeof value === 'object' && value !== null ? value : {};
  const code = text(record, 'code', MAX_CODE_LENGTH);
  const message = text(record, 'message', MAX_TEXT_LENGTH) ?? 'no reason given';
  const details = {
    hint: text(record, 'hint', MAX_TEXT_LENGTH),
    isRetryable: 'retryable' in record && record.retryable === true,
  };
  if (isErrorCode(code)) return new RmtxError(code, message, details);
  return new RmtxError('ERR_RMTX_BAD_MESSAGE', `${code ?? 'unknown error'}: ${message}`, details);
}

function text(record: object, name: string, maxLength: number): string | undefined {
  if (!Object.hasOwn(record, name)) return undefined;
  const value = (record as Record<string, unknown>)[name];
  return typeof value === 'string' && value !== '' ? cap(value, maxLength) : undefined;
}

/** Cut before it is escaped: escaping a gigabyte to keep a line of it would be the peer's gain. */
function cap(value: string, maxLength: number): string {
  const cut = value.length > maxLength ? `${value.slice(0, maxLength)}…` : value;
  return printable(cut);
}
