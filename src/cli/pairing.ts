/** What `init` and `pair` have in common: who to pair with, and where the code comes from. */
import os from 'node:os';
import { pingHost } from '../client/control.js';
import { hostsDirectory, openClientHome } from '../client/home.js';
import { pairWithHost } from '../client/pair.js';
import type { PairedHost } from '../client/pair.js';
import type { DiscoverySettings } from '../config/resolved-config.js';
import type { DiscoveredHost } from '../discovery/sightings.js';
import { RmtxError, isRmtxError } from '../errors.js';
import { formatAddress } from '../transport/address.js';
import { parseFingerprint } from '../trust/fingerprint.js';
import type { Fingerprint } from '../trust/fingerprint.js';
import { listKnownHosts } from '../trust/known-hosts.js';
import type { KnownHost } from '../trust/known-hosts.js';
import { parsePairingCode } from '../trust/pairing-code.js';
import type { PairingCode } from '../trust/pairing-code.js';
import { printable } from '../util/printable.js';
import type { FlagValues } from './arguments.js';
import { findHostToPair } from './find-host.js';
import { askLine, canAsk, readLineFromStdin } from './prompt.js';
import { serviceOf } from './service-flag.js';
import { dialedBackTeller } from './target.js';

export interface PairingTarget {
  /** `ADDR[:PORT]` as it was given, or what discovery knows; best first. */
  readonly addresses: readonly string[];
  /** Another key than this one is refused. */
  readonly fingerprint: Fingerprint | undefined;
  /** The host that was found and chosen. */
  readonly found?: DiscoveredHost;
  /** The service it was found under. */
  readonly service?: string;
  /** The service of a host that is asked to dial back; undefined where the config wants nothing asked. */
  readonly callService: string | undefined;
  /** What `--code` gives; undefined where the person is asked. */
  readonly code: PairingCode | typeof FROM_STDIN | undefined;
}

const FROM_STDIN = '-';

/** What a config says, for where the flags say nothing. */
export interface PairingFallback {
  readonly address: string | undefined;
  /** The key that has to answer. */
  readonly fingerprint: string | undefined;
  /** The key that is preferred where several hosts are found. */
  readonly usual?: string | undefined;
  readonly discovery: DiscoverySettings;
}

/**
 * The address from `--host` or RMTX_HOST, else the one a config gives, else a host that is found on the
 * network. Throws ERR_RMTX_HOST_NOT_SET where there is none; a code or fingerprint that cannot be right
 * is refused before anybody looks for anything.
 */
export async function pairingTarget(
  flags: FlagValues,
  fallback: PairingFallback,
): Promise<PairingTarget> {
  const code = givenCode(flags);
  const pin = flags.text('fingerprint') ?? fallback.fingerprint;
  const fingerprint = pin === undefined ? undefined : parseFingerprint(pin);
  const asksToLook = flags.has('select') || flags.has('service');
  if (flags.has('host') && asksToLook)
    throw new RmtxError(
      'ERR_RMTX_BAD_FLAG',
      '--host says which host it is: nothing is looked for',
      {
        hint: 'leave out --host, or --select and --service',
      },
    );
  const named = flags.text('host') ?? (process.env['RMTX_HOST'] || undefined);
  const address = named ?? (asksToLook ? undefined : fallback.address);
  const { discovery, usual } = fallback;
  const service = serviceOf(flags, discovery.service);
  const callService = discovery.isEnabled ? service : undefined;
  if (address !== undefined) return { addresses: [address], fingerprint, callService, code };
  if (callService === undefined)
    throw new RmtxError('ERR_RMTX_HOST_NOT_SET', 'which host to pair with is not known', {
      hint: 'discovery is off in the config: say where the host is with --host ADDR',
    });
  const found = await findHostToPair(flags, { discovery, fingerprint, usual });
  const addresses = found.addresses.map(formatAddress);
  return { addresses, fingerprint, found, service, callService, code };
}

/**
 * The host, where this machine is paired with it already and it answers as such: a second project needs no
 * second code. Undefined where a code or a label was given, or anything at all is in the way: then they pair.
 */
export async function pairedBefore(
  { addresses, fingerprint, found }: PairingTarget,
  flags: FlagValues,
): Promise<PairedHost | undefined> {
  const [address] = addresses;
  if (address === undefined || flags.has('code') || flags.has('label')) return undefined;
  const home = openClientHome();
  const known = listKnownHosts(hostsDirectory(home));
  if (known.length === 0) return undefined;
  const isMeant = ({ id, ...host }: KnownHost): boolean =>
    [undefined, host.fingerprint].includes(fingerprint) &&
    [undefined, id].includes(found?.identityPrefix);
  try {
    const answer = await pingHost({ home, host: address, config: undefined });
    const host = known.find((each) => each.fingerprint === answer.fingerprint);
    if (host === undefined || !isMeant(host)) return undefined;
    return { name: host.name, address: answer.address, fingerprint: host.fingerprint };
  } catch {
    return undefined;
  }
}

export function pairAt(target: PairingTarget, flags: FlagValues): Promise<PairedHost> {
  const { addresses, fingerprint, found, callService, code } = target;
  return pairWithHost({
    home: openClientHome(),
    addresses,
    fingerprint,
    identityPrefix: found?.identityPrefix,
    callService,
    onDialedBack: dialedBackTeller(flags),
    label: flags.text('label') ?? defaultLabel(),
    askCode: (host) => codeFor(found?.name ?? host.address, { code, isJson: flags.has('json') }),
  });
}

function givenCode(flags: FlagValues): PairingTarget['code'] {
  const given = flags.text('code');
  return given === undefined || given === FROM_STDIN ? given : parsePairingCode(given);
}

function codeFor(
  host: string,
  { code, isJson }: { readonly code: PairingTarget['code']; readonly isJson: boolean },
): Promise<string> {
  if (code === undefined) {
    // Where nobody can be asked, the error is all that a program wants to read.
    if (!isJson || canAsk())
      process.stderr.write(
        `rmtx: ${printable(host)} has to show a code: run rmtx host pair-code there if it does not\n`,
      );
    return askForCode();
  }
  return code === FROM_STDIN ? readLineFromStdin('the pairing code') : Promise.resolve(code);
}

/** A person's typing errors: so many, then it is something else. */
const MAX_TYPING_ERRORS = 5;

/** Asks again where the check digit says that it was mistyped: that costs no try at the host. */
async function askForCode(): Promise<string> {
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
