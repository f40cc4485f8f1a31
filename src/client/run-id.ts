import { randomBytes } from 'node:crypto';

/** `r` and 16 characters of base 36: 82 bits. See RUN_ID_PATTERN. */
export function newRunId(): string {
  const random = BigInt(`0x${randomBytes(11).toString('hex')}`).toString(36);
  return `r${random.padStart(18, '0').slice(-16)}`;
}
