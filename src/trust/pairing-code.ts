/**
 * The pairing code: seven random digits and one that checks them. 10^7 codes and three tries give a
 * stranger a chance of 3 in 10 million for each window that the owner opens. The check digit catches the
 * typing errors people make before they cost a try; it adds nothing to the secret.
 */
import { randomInt, scrypt } from 'node:crypto';
import { RmtxError } from '../errors.js';
import { WIDE_SCALAR_BYTES, reduceToScalar } from './spake2.js';

/** Eight digits, the last one right. */
export type PairingCode = string & { readonly __brand: 'PairingCode' };

const RANDOM_DIGITS = 7;
const CODE_DIGITS = RANDOM_DIGITS + 1;

/**
 * Damm's quasigroup of order 10 (H. M. Damm, 2004): totally anti-symmetric, with zeros on the
 * diagonal, so every single wrong digit and every swap of two neighbours changes the result.
 */
const DAMM = [
  '0317598642',
  '7092154863',
  '4206871359',
  '1750983426',
  '6123045978',
  '3674209581',
  '5869720134',
  '8945362017',
  '9438617205',
  '2581436790',
] as const;

/**
 * 32 MiB of memory and about 0.1 s a guess. Online guessing is stopped by the try counter; this is for
 * the one case of a leaked {@link PairingScalar}, and for a reader of the host's memory or disk within
 * the minutes in which the code lives. `maxmem` is there because Node's default is exactly too small.
 */
const SCRYPT_OPTIONS = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };
/** Separates our use of scrypt from any other; both sides must know it before they have spoken. */
const SCRYPT_SALT = 'rmtx-pair-v1';

export function generatePairingCode(): PairingCode {
  const digits = String(randomInt(10 ** RANDOM_DIGITS)).padStart(RANDOM_DIGITS, '0');
  return `${digits}${dammDigit(digits)}` as PairingCode;
}

/**
 * A code as a person typed it: spaces and dashes anywhere. Throws PAIRING_CODE_INVALID where it is not
 * eight digits or the last does not fit; the host never hears of it. The message holds no digit.
 */
export function parsePairingCode(text: string): PairingCode {
  const digits = text.replace(/[\s\p{Dash_Punctuation}]+/gu, '');
  if (!/^[0-9]+$/.test(digits) || digits.length !== CODE_DIGITS)
    throw invalidCode(`a pairing code is ${CODE_DIGITS} digits`);
  if (dammDigit(digits) !== 0) throw invalidCode('the pairing code has a typing error');
  return digits as PairingCode;
}

/**
 * w of SPAKE2 (RFC 9382 §3.2): whoever holds it can pair as if he held the code. Runs off the main loop;
 * the host computes it once for each window.
 */
export async function derivePairingScalar(code: PairingCode): Promise<Buffer> {
  const wide = await new Promise<Buffer>((resolve, reject) => {
    scrypt(code, SCRYPT_SALT, WIDE_SCALAR_BYTES, SCRYPT_OPTIONS, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
  return reduceToScalar(wide);
}

/** The check digit of these digits; 0 for digits that end in their right check digit. */
function dammDigit(digits: string): number {
  let interim = 0;
  for (const digit of digits) interim = Number(DAMM[interim]?.[Number(digit)]);
  return interim;
}

function invalidCode(message: string): RmtxError {
  return new RmtxError('ERR_RMTX_PAIRING_CODE_INVALID', message, {
    hint: 'check it against what rmtx host pair-code printed; this cost no try',
  });
}
