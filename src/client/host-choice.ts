/** Which host a command means: `--host`, RMTX_HOST, the config, or the one that is paired. */
import os from 'node:os';
import { DEFAULT_DISCOVERY } from '../config/resolved-config.js';
import type { ResolvedConfig } from '../config/resolved-config.js';
import { RmtxError } from '../errors.js';
import { formatAddress, parseAddress } from '../transport/address.js';
import type { Address } from '../transport/address.js';
import { parseFingerprint } from '../trust/fingerprint.js';
import type { Fingerprint } from '../trust/fingerprint.js';
import {
  RESERVED_NAME,
  findKnownHost,
  findKnownHostAt,
  listKnownHosts,
} from '../trust/known-hosts.js';
import type { KnownHost } from '../trust/known-hosts.js';
import { printable } from '../util/printable.js';
import { lastAutoHost } from './auto-memory.js';
import type { BegunDial } from './begun-dial.js';
import type { WantedHosts } from './discovered-addresses.js';
import { hostsDirectory } from './home.js';
import type { ClientHome } from './home.js';
import { nameHint } from './name-hint.js';

export interface HostChoice {
  /** What to dial, best first. */
  readonly addresses: readonly Address[];
  /** The keys that may answer. */
  readonly pins: readonly Fingerprint[];
  /** Why this one, for `-v`. */
  readonly rule: string;
  /** Undefined: nobody is to look around, because the address is final or it is switched off. */
  readonly lookAround: LookAround | undefined;
  /** For whoever finds nobody there: of which paired hosts' names what was named may be a slip. */
  readonly hintOfNames?: () => string | undefined;
  /** To the first address, where it was dialled already. */
  readonly begun?: BegunDial | undefined;
  /** The service of a host that is asked to dial back where its port cannot be reached; undefined: switched off. */
  readonly callService: string | undefined;
  /** Where the host had to dial back the last time, as `HOST:PORT`: it is asked at once there. */
  readonly dialedBackAt: readonly string[];
}

type BareChoice = Omit<HostChoice, 'callService' | 'dialedBackAt'>;

export interface LookAround extends WantedHosts {
  /** How long to look before the host counts as not found. */
  readonly timeoutMs: number;
}

export interface ChooseHostOptions {
  readonly home: ClientHome;
  /** The value of `--host`. */
  readonly named: string | undefined;
  readonly config: ResolvedConfig | undefined;
  /** `--discovery-timeout`; 0: do not look around. */
  readonly discoveryTimeoutMs?: number | undefined;
  readonly env?: NodeJS.ProcessEnv;
  /** Told in one line what of the paired hosts could not be read. */
  readonly warn?: ((line: string) => void) | undefined;
}

/**
 * The rule by which whichever host is the best is meant: `auto` as `--host`, RMTX_HOST or in the config. Undefined
 * where another one is said, or none. A machine that is really called so is `auto:PORT`.
 */
export function autoRule(
  options: Pick<ChooseHostOptions, 'named' | 'config' | 'env'>,
): { readonly rule: string; readonly isFinal: boolean } | undefined {
  const { named, config, env = process.env } = options;
  const explicit = named ?? nonEmpty(env['RMTX_HOST']);
  if ((explicit ?? config?.host)?.toLowerCase() !== RESERVED_NAME) return undefined;
  const place = explicit === undefined ? 'host in the config' : 'RMTX_HOST';
  const isFinal = explicit !== undefined;
  return { rule: named === undefined ? `${place}, auto` : '--host auto', isFinal };
}

/**
 * `--host` and RMTX_HOST are final. Otherwise the config's host, then the last address that worked for
 * the pinned identity. Throws NOT_PAIRED or HOST_NOT_SET with what to type. `auto` is where it led the last time:
 * only `exec` looks anew.
 */
export function chooseHost(options: ChooseHostOptions): HostChoice {
  const known = knownHosts(options);
  return withWayBack(choose(options, known), { options, known });
}

function choose(options: ChooseHostOptions, known: readonly KnownHost[]): BareChoice {
  const { config } = options;
  const env = options.env ?? process.env;
  const configPin =
    config?.hostFingerprint === undefined ? undefined : parseFingerprint(config.hostFingerprint);
  const explicit = options.named ?? nonEmpty(env['RMTX_HOST']);
  const lookFor = (pins: readonly Fingerprint[]): LookAround | undefined =>
    lookAround(options, pins);
  const auto = autoRule(options);
  if (auto !== undefined) {
    const last = lastAutoHost(options.home, config);
    const pin = auto.isFinal ? undefined : configPin;
    const host = known.find(({ fingerprint }) => fingerprint === (pin ?? last));
    const rule = `${auto.rule}: where this project ran last`;
    return host === undefined ? byPin(known, { pin, lookFor }) : fromKnown(host, { rule, lookFor });
  }
  if (explicit !== undefined) {
    const rule = options.named === undefined ? 'RMTX_HOST' : '--host';
    const byName = findKnownHost(known, explicit);
    if (byName !== undefined) return fromKnown(byName, { rule: `${rule}, a paired host`, lookFor });
    const address = parseAddress(explicit);
    const there = findKnownHostAt(known, formatAddress(address))?.fingerprint;
    const pins = pinsFor(configPin ?? there, known);
    const hintOfNames = (): string | undefined =>
      there === undefined
        ? nameHint(
            address.host,
            known.map(({ name }) => name),
          )
        : undefined;
    return { addresses: [address], pins, rule, lookAround: undefined, hintOfNames };
  }
  if (config?.host === undefined) return byPin(known, { pin: configPin, lookFor });
  const rule = `host in ${config.configFile}`;
  const byName = findKnownHost(known, config.host);
  if (byName !== undefined && [undefined, byName.fingerprint].includes(configPin))
    return fromKnown(byName, { rule, lookFor });
  const written = parseAddress(config.host);
  const meant = configPin ?? theOneAt(written, known);
  return {
    addresses: withRemembered(written, known, configPin),
    pins: pinsFor(configPin, known),
    rule,
    lookAround: lookFor(meant === undefined ? [] : [meant]),
  };
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
  const isNamed = explicit !== undefined && autoRule(options) === undefined;
  if (isNamed || seen === undefined) return chooseHost(options);
  const known = knownHosts(options);
  const host = known.find(({ fingerprint }) => fingerprint === seen.fingerprint);
  if (host === undefined) throw notPaired('this machine is not paired with the host of the run');
  const { addresses, ...choice } = fromKnown(host, {
    rule: 'the host that has the run',
    lookFor: (pins) => lookAround(options, pins),
  });
  const last = parseAddress(seen.address);
  const others = addresses.filter((address) => formatAddress(address) !== seen.address);
  return withWayBack({ ...choice, addresses: [last, ...others] }, { options, known });
}

function knownHosts({ home, warn = () => undefined }: ChooseHostOptions): KnownHost[] {
  return listKnownHosts(hostsDirectory(home), { log: warn });
}

type LookFor = (pins: readonly Fingerprint[]) => LookAround | undefined;

function byPin(
  known: readonly KnownHost[],
  { pin, lookFor }: { readonly pin: Fingerprint | undefined; readonly lookFor: LookFor },
): BareChoice {
  if (pin !== undefined) {
    const host = known.find((candidate) => candidate.fingerprint === pin);
    const rule = 'the last address of the pinned host';
    if (host !== undefined) return fromKnown(host, { rule, lookFor });
    throw notPaired('this machine is not paired with the host that the config pins');
  }
  const [only, second] = known;
  if (only === undefined) throw notPaired('this machine is not paired with any host');
  if (second === undefined) return fromKnown(only, { rule: 'the only paired host', lookFor });
  throw new RmtxError('ERR_RMTX_HOST_NOT_SET', 'several hosts are paired and none is chosen', {
    hint: `say --host NAME, one of: ${known.map((host) => printable(host.name)).join(', ')}`,
  });
}

function fromKnown(
  host: KnownHost,
  { rule, lookFor }: { readonly rule: string; readonly lookFor: LookFor },
): BareChoice {
  const texts = [host.lastAddress, ...host.addresses].filter((text) => text !== undefined);
  return {
    addresses: [...new Set(texts)].map((text) => parseAddress(text)),
    pins: [host.fingerprint],
    rule,
    lookAround: lookFor([host.fingerprint]),
  };
}

/** The choice, with what to do where none of its addresses can be reached. */
function withWayBack(
  choice: BareChoice,
  about: { readonly options: ChooseHostOptions; readonly known: readonly KnownHost[] },
): HostChoice {
  const { isEnabled, service } = about.options.config?.discovery ?? DEFAULT_DISCOVERY;
  const meant = about.known.filter(({ fingerprint }) => choice.pins.includes(fingerprint));
  return {
    ...choice,
    callService: isEnabled ? service : undefined,
    dialedBackAt: addressesThatDialedBack(meant),
  };
}

/** Not where this machine is in another network by now, from which the way there is another one. */
function addressesThatDialedBack(hosts: readonly KnownHost[]): string[] {
  return hosts.flatMap(({ lastAddress, dialedBackTo }) =>
    lastAddress !== undefined && dialedBackTo !== undefined && isOwnAddress(dialedBackTo)
      ? [lastAddress]
      : [],
  );
}

function isOwnAddress(text: string): boolean {
  const [literal] = text.split('%');
  return Object.values(os.networkInterfaces()).some((addresses) =>
    addresses?.some(({ address }) => address === literal),
  );
}

function lookAround(
  { config, discoveryTimeoutMs }: ChooseHostOptions,
  pins: readonly Fingerprint[],
): LookAround | undefined {
  const { isEnabled, service, timeoutMs } = config?.discovery ?? DEFAULT_DISCOVERY;
  if (!isEnabled || discoveryTimeoutMs === 0) return undefined;
  return { service, pins, timeoutMs: discoveryTimeoutMs ?? timeoutMs };
}

/**
 * Whom a written address means where no key is pinned. Any paired host may answer there; but one that is heard
 * elsewhere is dialled only where it is this one, else a command would run on another machine than before.
 */
function theOneAt(written: Address, known: readonly KnownHost[]): Fingerprint | undefined {
  const [only, second] = known;
  return (
    findKnownHostAt(known, formatAddress(written))?.fingerprint ??
    (second === undefined ? only?.fingerprint : undefined)
  );
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

export function notPaired(message: string): RmtxError {
  return new RmtxError('ERR_RMTX_NOT_PAIRED', message, {
    hint: 'run rmtx pair --host ADDR, with a code from rmtx host pair-code on the host',
  });
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}
