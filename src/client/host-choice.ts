/** Which host a command means: `--host`, RMTX_HOST, the config, or the one that is paired. */
import type { ResolvedConfig } from '../config/resolved-config.js';
import { RmtxError } from '../errors.js';
import { formatAddress, parseAddress } from '../transport/address.js';
import type { Address } from '../transport/address.js';
import { parseFingerprint } from '../trust/fingerprint.js';
import type { Fingerprint } from '../trust/fingerprint.js';
import { findKnownHost, findKnownHostAt, listKnownHosts } from '../trust/known-hosts.js';
import type { KnownHost } from '../trust/known-hosts.js';
import { printable } from '../util/printable.js';
import { hostsDirectory } from './home.js';
import type { ClientHome } from './home.js';

export interface HostChoice {
  /** What to dial, best first. */
  readonly addresses: readonly Address[];
  /** The keys that may answer. */
  readonly pins: readonly Fingerprint[];
  /** Why this one, for `-v`. */
  readonly rule: string;
}

export interface ChooseHostOptions {
  readonly home: ClientHome;
  /** The value of `--host`. */
  readonly named: string | undefined;
  readonly config: ResolvedConfig | undefined;
  readonly env?: NodeJS.ProcessEnv;
  /** Told in one line what of the paired hosts could not be read. */
  readonly warn?: ((line: string) => void) | undefined;
}

/**
 * `--host` and RMTX_HOST are final. Otherwise the config's host, then the last address that worked for
 * the pinned identity. Throws NOT_PAIRED or HOST_NOT_SET with what to type.
 */
export function chooseHost(options: ChooseHostOptions): HostChoice {
  const { config } = options;
  const env = options.env ?? process.env;
  const known = listKnownHosts(hostsDirectory(options.home), {
    log: options.warn ?? (() => undefined),
  });
  const configPin =
    config?.hostFingerprint === undefined ? undefined : parseFingerprint(config.hostFingerprint);
  const explicit = options.named ?? nonEmpty(env['RMTX_HOST']);
  if (explicit !== undefined) {
    const rule = options.named === undefined ? 'RMTX_HOST' : '--host';
    const byName = findKnownHost(known, explicit);
    if (byName !== undefined) return fromKnown(byName, `${rule}, a paired host`);
    const address = parseAddress(explicit);
    const there = findKnownHostAt(known, formatAddress(address))?.fingerprint;
    return { addresses: [address], pins: pinsFor(configPin ?? there, known), rule };
  }
  if (config?.host !== undefined)
    return {
      addresses: withRemembered(parseAddress(config.host), known, configPin),
      pins: pinsFor(configPin, known),
      rule: `host in ${config.configFile}`,
    };
  return byPin(known, configPin);
}

/**
 * The host that has a run: the one that `--host` or RMTX_HOST names; else the one that was seen to have it,
 * wherever it is by now; else whichever a command here means.
 */
export function chooseHostOfRun(
  options: ChooseHostOptions,
  seen: { readonly fingerprint: Fingerprint; readonly address: string } | undefined,
): HostChoice {
  const env = options.env ?? process.env;
  const explicit = options.named ?? nonEmpty(env['RMTX_HOST']);
  if (explicit !== undefined || seen === undefined) return chooseHost(options);
  const known = listKnownHosts(hostsDirectory(options.home), {
    log: options.warn ?? (() => undefined),
  });
  const host = known.find(({ fingerprint }) => fingerprint === seen.fingerprint);
  if (host === undefined) throw notPaired('this machine is not paired with the host of the run');
  const { addresses, ...choice } = fromKnown(host, 'the host that has the run');
  const last = parseAddress(seen.address);
  const others = addresses.filter((address) => formatAddress(address) !== seen.address);
  return { ...choice, addresses: [last, ...others] };
}

function byPin(known: readonly KnownHost[], pin: Fingerprint | undefined): HostChoice {
  if (pin !== undefined) {
    const host = known.find((candidate) => candidate.fingerprint === pin);
    if (host !== undefined) return fromKnown(host, 'the last address of the pinned host');
    throw notPaired('this machine is not paired with the host that the config pins');
  }
  const [only, second] = known;
  if (only === undefined) throw notPaired('this machine is not paired with any host');
  if (second === undefined) return fromKnown(only, 'the only paired host');
  throw new RmtxError('ERR_RMTX_HOST_NOT_SET', 'several hosts are paired and none is chosen', {
    hint: `say --host NAME, one of: ${known.map((host) => printable(host.name)).join(', ')}`,
  });
}

function fromKnown(host: KnownHost, rule: string): HostChoice {
  const texts = [host.lastAddress, ...host.addresses].filter((text) => text !== undefined);
  return {
    addresses: [...new Set(texts)].map((text) => parseAddress(text)),
    pins: [host.fingerprint],
    rule,
  };
}

/** The written address first; where the pinned host was last seen elsewhere, that one after it. */
function withRemembered(
  written: Address,
  known: readonly KnownHost[],
  pin: Fingerprint | undefined,
): Address[] {
  const remembered = known.find((host) => host.fingerprint === pin)?.lastAddress;
  return remembered === undefined || remembered === formatAddress(written)
    ? [written]
    : [written, parseAddress(remembered)];
}

/** Without a pin in the config, any host that this machine is paired with may answer. */
function pinsFor(pin: Fingerprint | undefined, known: readonly KnownHost[]): Fingerprint[] {
  if (pin !== undefined) return [pin];
  if (known.length === 0) throw notPaired('this machine is not paired with any host');
  return known.map((host) => host.fingerprint);
}

function notPaired(message: string): RmtxError {
  return new RmtxError('ERR_RMTX_NOT_PAIRED', message, {
    hint: 'run rmtx pair --host ADDR, with a code from rmtx host pair-code on the host',
  });
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}
