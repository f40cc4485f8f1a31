/** Finding the host to pair with, for whoever has not said where it is. */
import type { DiscoverySettings } from '../config/resolved-config.js';
import { findHosts } from '../discovery/find-hosts.js';
import { lanInterfaces } from '../discovery/lan-interfaces.js';
import { ANNOUNCEMENT_PERIOD_MS } from '../discovery/packets.js';
import type { DiscoveredHost } from '../discovery/sightings.js';
import { RmtxError } from '../errors.js';
import { fingerprintId, parseFingerprint } from '../trust/fingerprint.js';
import type { Fingerprint, PeerId } from '../trust/fingerprint.js';
import { printable } from '../util/printable.js';
import type { FlagValues } from './arguments.js';
import { askLine, canAsk } from './prompt.js';
import { foundHostLine, foundHostLines, silenceLines } from './report/found-hosts.js';
import { ProgressLine } from './report/progress.js';
import { serviceOf } from './service-flag.js';

/** Two that stand beside each other answer within that. */
const SETTLE_MS = 1000;
/** Until then somebody has answered, or nobody will. */
const ANSWERS_MS = 3000;
/** A whole period, for the host whose firewall lets no question in; and time for the way. */
const ANNOUNCEMENTS_MS = ANNOUNCEMENT_PERIOD_MS + 500;

/** What the user types wrong that often is something else. */
const MAX_TYPING_ERRORS = 5;

export interface FindSettings {
  readonly discovery: DiscoverySettings;
  /** The only host that is meant. */
  readonly fingerprint: Fingerprint | undefined;
  /** The host that is offered first among several. */
  readonly usual: string | undefined;
}

/**
 * Listens, shows what it hears, and has the person choose where there are several: by `--select`, by
 * `--fingerprint`, or at the terminal. Throws HOST_NOT_SET, with what to type, where no host is heard, and
 * where there are several and nobody to ask.
 */
export async function findHostToPair(
  flags: FlagValues,
  settings: FindSettings,
): Promise<DiscoveredHost> {
  const service = serviceOf(flags, settings.discovery.service);
  const say = (lines: readonly string[]): void => {
    if (!flags.has('quiet') && !flags.has('json'))
      for (const line of lines) process.stderr.write(`rmtx: ${line}\n`);
  };
  const { fingerprint } = settings;
  const prefix = fingerprint === undefined ? undefined : fingerprintId(fingerprint);
  const found = await listen({ flags, service, prefix, say });
  const hosts =
    prefix === undefined ? found : found.filter((host) => host.identityPrefix === prefix);
  if (hosts.length === 0) throw nothingHeard(flags, found);
  const chosen = chosenByFlag(hosts, flags) ?? (hosts.length === 1 ? hosts[0] : undefined);
  if (chosen !== undefined) {
    say([`found ${foundHostLine(chosen)}`]);
    return chosen;
  }
  return chooseAmong(hosts, { flags, usual: settings.usual });
}

async function listen(search: {
  readonly flags: FlagValues;
  readonly service: string;
  readonly prefix: PeerId | undefined;
  readonly say: (lines: readonly string[]) => void;
}): Promise<DiscoveredHost[]> {
  const { flags, service, prefix, say } = search;
  const networks = networkNames();
  const givenMs = flags.durationMs('discovery-timeout');
  const progress = new ProgressLine({
    write: (text) => process.stderr.isTTY && !flags.has('quiet') && process.stderr.write(text),
    columns: () => process.stderr.columns,
    now: () => performance.now(),
  });
  progress.begin('look', 'looking for hosts on this network');
  const sayNothingHeard = (): void => {
    progress.erase();
    say(silenceLines(networks, ANNOUNCEMENTS_MS));
  };
  const silence = givenMs === undefined ? setTimeout(sayNothingHeard, ANSWERS_MS) : undefined;
  try {
    return await findHosts({
      service,
      timeoutMs: givenMs ?? ANSWERS_MS + ANNOUNCEMENTS_MS,
      wanted: prefix,
      // A host that is meant may be the last to be heard.
      ...(prefix === undefined ? { settleMs: SETTLE_MS } : {}),
      onHost: (host) => {
        clearTimeout(silence);
        return host.identityPrefix === prefix ? 'enough' : undefined;
      },
    });
  } finally {
    clearTimeout(silence);
    progress.stop();
  }
}

function chosenByFlag(
  hosts: readonly DiscoveredHost[],
  flags: FlagValues,
): DiscoveredHost | undefined {
  const text = flags.text('select');
  if (text === undefined) return undefined;
  const host = hostAt(hosts, text);
  if (host !== undefined) return host;
  showList(hosts, flags);
  throw new RmtxError('ERR_RMTX_BAD_FLAG', `--select ${printable(text)}: there is no such host`, {
    hint: hosts.length === 1 ? 'the only number is 1' : `choose from 1 to ${hosts.length}`,
  });
}

function hostAt(hosts: readonly DiscoveredHost[], number: string): DiscoveredHost | undefined {
  return /^\d{1,3}$/.test(number.trim()) ? hosts[Number(number) - 1] : undefined;
}

async function chooseAmong(
  hosts: readonly DiscoveredHost[],
  options: { readonly flags: FlagValues; readonly usual: string | undefined },
): Promise<DiscoveredHost> {
  const { flags } = options;
  const pinned = options.usual === undefined ? '' : fingerprintId(parseFingerprint(options.usual));
  const usual = hosts.find(({ identityPrefix }) => identityPrefix === pinned);
  showList(hosts, flags);
  if (flags.has('yes') || flags.has('json') || !canAsk()) {
    if (usual !== undefined) return usual;
    throw severalFound(hosts);
  }
  const first = usual === undefined ? 1 : hosts.indexOf(usual) + 1;
  for (let errors = 0; ; errors++) {
    const answer = await askLine({
      text: `which one? [${first}] `,
      subject: 'the host',
      otherwise: 'give its number with --select N',
    });
    const host = hostAt(hosts, answer.trim() === '' ? String(first) : answer);
    if (host !== undefined) return host;
    if (errors === MAX_TYPING_ERRORS)
      throw new RmtxError('ERR_RMTX_HOST_NOT_SET', 'none of the hosts was chosen', {
        hint: 'give its number with --select N',
      });
    process.stderr.write(`rmtx: type a number from 1 to ${hosts.length}\n`);
  }
}

function severalFound(hosts: readonly DiscoveredHost[]): RmtxError {
  return new RmtxError(
    'ERR_RMTX_HOST_NOT_SET',
    `${hosts.length} hosts answer, and none is chosen`,
    { hint: `say --select N or --host ADDR; found: ${hosts.map(foundHostLine).join(', ')}` },
  );
}

/** Also where somebody wants only errors: without the list there is nothing to choose from. */
function showList(hosts: readonly DiscoveredHost[], flags: FlagValues): void {
  if (flags.has('json')) return;
  for (const line of foundHostLines(hosts)) process.stderr.write(`  ${line}\n`);
}

function nothingHeard(flags: FlagValues, others: readonly DiscoveredHost[]): RmtxError {
  const networks = networkNames();
  if (others.length > 0)
    return new RmtxError('ERR_RMTX_HOST_NOT_SET', 'no host with that fingerprint answers', {
      hint: `compare it with rmtx host status there; found: ${others.map(foundHostLine).join(', ')}`,
    });
  if (networks.length === 0)
    return new RmtxError('ERR_RMTX_HOST_NOT_SET', 'this machine is on no network', {
      hint: 'connect it, or name a host that you can reach: rmtx init --host ADDR',
    });
  const under = flags.has('service') ? ` of service ${flags.text('service') ?? ''}` : '';
  return new RmtxError(
    'ERR_RMTX_HOST_NOT_SET',
    `no host${under} was heard on ${networks.join(', ')}`,
    {
      hint: 'start rmtx host on the other machine, or say where it is: --host ADDR (guest networks, VPNs and subnets keep machines apart)',
    },
  );
}

/** `eth0 (192.168.1.5)`: where somebody could have been heard. */
function networkNames(): string[] {
  return lanInterfaces()
    .filter((each) => !each.isLoopback)
    .map(({ name, ipv4, ipv6 }) => `${name} (${(ipv4[0] ?? ipv6[0])?.address ?? 'no address'})`);
}
