/** What there is to say of a host that could not be reached. */
import { RmtxError, isRmtxError } from '../errors.js';
import { formatAddress } from '../transport/address.js';
import type { Address } from '../transport/address.js';

/** Where nobody is: whoever answers, and is another, was found by that name. */
export function withHint(error: unknown, another: string | undefined): unknown {
  if (another === undefined || !isRmtxError(error)) return error;
  const { code, message, hint, cause } = error;
  if (code !== 'ERR_RMTX_HOST_UNREACHABLE') return error;
  return new RmtxError(code, message, {
    hint: hint === undefined ? another : `${hint}; ${another}`,
    cause,
  });
}

/** Another machine has the address by now. */
export function isMismatch(error: unknown): error is RmtxError {
  return isRmtxError(error) && error.code === 'ERR_RMTX_FINGERPRINT_MISMATCH';
}

/** That time is up while old addresses are still dialled hides what the best one has said already. */
export function timeIsUp(reason: unknown, bestFailure: unknown): unknown {
  const isTime = isRmtxError(reason) && reason.code === 'ERR_RMTX_TIMED_OUT';
  return isTime && isMismatch(bestFailure) ? bestFailure : reason;
}

export interface Tried {
  readonly remembered: readonly Address[];
  readonly heard: readonly Address[];
}

/** Whoever makes up addresses gets no more of a line than that. */
const MAX_HEARD_SAID = 3;

/** Why the first address would not do, that the others would not either, and what to do about it. */
export function notFound(error: unknown, { remembered, heard }: Tried): unknown {
  if (!isRmtxError(error)) return error;
  const { code, hint, message } = error;
  const others = remembered.slice(1).map(formatAddress);
  const also = others.length === 0 ? '' : `, nor at ${others.join(', ')}`;
  const elsewhere = 'where you know its address: rmtx ping --host ADDR';
  const doctor = 'rmtx doctor finds the cause';
  const next = hint?.includes(doctor) === true ? elsewhere : `${doctor}; ${elsewhere}`;
  return new RmtxError(code, `${message}${also}; ${hearsay(remembered, heard)}`, {
    hint: hint === undefined ? next : `${hint}; ${next}`,
    cause: error.cause,
  });
}

/** A host that is heard is up, so that something keeps us away from it. */
function hearsay(remembered: readonly Address[], heard: readonly Address[]): string {
  if (heard.length === 0) return 'it was not heard on this network either';
  const known = new Set(remembered.map(formatAddress));
  const elsewhere = heard.map(formatAddress).filter((address) => !known.has(address));
  if (elsewhere.length === 0) return 'it was heard there, though';
  const some = elsewhere.slice(0, MAX_HEARD_SAID).join(', ');
  return `it was heard at ${some}, where it cannot be reached either`;
}
