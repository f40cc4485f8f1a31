/** What `init` and `pair` have in common: who to pair with, and where the code comes from. */
import os from 'node:os';
import { openClientHome } from '../client/home.js';
import { pairWithHost } from '../client/pair.js';
import type { PairedHost } from '../client/pair.js';
import { RmtxError, isRmtxError } from '../errors.js';
import { parseFingerprint } from '../trust/fingerprint.js';
import { parsePairingCode } from '../trust/pairing-code.js';
import { printable } from '../util/printable.js';
import type { FlagValues } from './arguments.js';
import { askLine, readLineFromStdin } from './prompt.js';

export interface PairingTarget {
  /** As it was given: `ADDR[:PORT]`. */
  readonly address: string;
  /** Another key than this one is refused. */
  readonly fingerprint?: string | undefined;
}

/**
 * The address from `--host` or RMTX_HOST, else the one a config gives. Throws ERR_RMTX_HOST_NOT_SET
 * where there is none: nothing finds hosts by itself.
 */
export function pairingTarget(
  flags: FlagValues,
  fallback?: { readonly address: string | undefined; readonly fingerprint: string | undefined },
): PairingTarget {
  const address = flags.text('host') ?? (process.env['RMTX_HOST'] || fallback?.address);
  if (address === undefined)
    throw new RmtxError('ERR_RMTX_HOST_NOT_SET', 'which host to pair with is not known', {
      hint: 'run rmtx host pair-code on the host, then give its address here with --host ADDR',
    });
  return { address, fingerprint: flags.text('fingerprint') ?? fallback?.fingerprint };
}

/** Pairs; a code or fingerprint that cannot be right is refused before anything is dialled. */
export function pairAt(target: PairingTarget, flags: FlagValues): Promise<PairedHost> {
  const given = flags.text('code');
  const code = given === undefined || given === '-' ? given : parsePairingCode(given);
  const { address, fingerprint } = target;
  return pairWithHost({
    home: openClientHome(),
    address,
    fingerprint: fingerprint === undefined ? undefined : parseFingerprint(fingerprint),
    label: flags.text('label') ?? defaultLabel(),
    askCode: (host) => codeFor(host.address, code),
  });
}

function codeFor(address: string, code: string | undefined): Promise<string> {
  if (code === undefined) return askForCode(address);
  return code === '-' ? readLineFromStdin('the pairing code') : Promise.resolve(code);
}

/** A person's typing errors: so many, then it is something else. */
const MAX_TYPING_ERRORS = 5;

/** Asks again where the check digit says that it was mistyped: that costs no try at the host. */
async function askForCode(address: string): Promise<string> {
  process.stderr.write(
    `rmtx: ${printable(address)} has to show a code: run rmtx host pair-code there if it does not\n`,
  );
  for (let errors = 0; ; errors++) {
    const code = await askLine({
      text: 'pairing code: ',
      subject: 'the pairing code',
      otherwise: 'give it with --code CODE, or with --code - on stdin',
    });
    try {
      return parsePairingCode(code);
    } catch (error) {
      const isMistyped = isRmtxError(error) && error.code === 'ERR_RMTX_PAIRING_CODE_INVALID';
      if (!isMistyped || errors === MAX_TYPING_ERRORS) throw error;
      process.stderr.write(`rmtx: ${error.message}; try again\n`);
    }
  }
}

/** What a person recognises in the host's list of clients. */
function defaultLabel(): string {
  return `${userName()}@${os.hostname()}`;
}

function userName(): string {
  try {
    return os.userInfo().username;
  } catch {
    // A container may run under a number that no account has (SystemError ENOENT).
    return 'user';
  }
}
