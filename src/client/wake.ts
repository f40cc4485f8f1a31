/** Waking a paired host that sleeps, and waiting until it answers. */
import { setTimeout as delay } from 'node:timers/promises';
import { lanInterfaces } from '../discovery/lan-interfaces.js';
import { sendWakePackets } from '../discovery/wake-packet.js';
import { RmtxError, isRmtxError, systemErrorCode } from '../errors.js';
import { ALPN_CONTROL } from '../protocol/messages.js';
import { formatAddress, parseAddress } from '../transport/address.js';
import {
  findKnownHost,
  findKnownHostAt,
  listKnownHosts,
  wakeAddressesOf,
} from '../trust/known-hosts.js';
import type { KnownHost } from '../trust/known-hosts.js';
import { orAborted } from '../util/or-aborted.js';
import { printable } from '../util/printable.js';
import { formatDuration } from '../util/units.js';
import { dialHost } from './connect.js';
import type { HostTarget } from './control.js';
import { hostsDirectory } from './home.js';
import { autoRule, chooseHost } from './host-choice.js';
import type { HostChoice } from './host-choice.js';

/** A packet may be lost, and a card that is just being put to sleep hears none. */
const SEND_AGAIN_MS = 2000;
/** What was asked of a machine that slept is not answered when it wakes: better asked anew. */
const DIAL_LIMIT_MS = 3000;
/** A machine that is up refuses at once: no reason to ask faster. */
const DIAL_PAUSE_MS = 500;

export interface SleepingHost {
  readonly name: string;
  readonly fingerprint: string;
  /** Of the cards by which it was visited last. */
  readonly hardwareAddresses: readonly string[];
  readonly choice: HostChoice;
}

/**
 * The host that is meant. Throws as every command does that needs a host, and WAKE_ADDRESS_UNKNOWN where no
 * visit told what wakes it.
 */
export function findSleepingHost(target: HostTarget): SleepingHost {
  const { home, config, warn } = target;
  const choice = chooseHost({ home, named: target.host, config, warn });
  const directory = hostsDirectory(home);
  refuseUnknown(target, listKnownHosts(directory));
  const meant = listKnownHosts(directory).filter(({ fingerprint }) =>
    choice.pins.includes(fingerprint),
  );
  const [host, other] = meant;
  if (host === undefined)
    throw new RmtxError('ERR_RMTX_NOT_PAIRED', 'this machine is not paired with that host', {
      hint: 'rmtx hosts list shows those that it is paired with',
    });
  if (other !== undefined)
    throw new RmtxError('ERR_RMTX_HOST_NOT_SET', 'several hosts may be meant', {
      hint: `say which one: rmtx wake ${meant.map(({ name }) => printable(name)).join(' | ')}`,
    });
  const hardwareAddresses = wakeAddressesOf(directory, host);
  if (hardwareAddresses.length === 0) throw addressUnknown(host);
  return { name: host.name, fingerprint: host.fingerprint, hardwareAddresses, choice };
}

/** Without this a name that nobody has would mean every paired host: it could be any one's address. */
function refuseUnknown({ host, config }: HostTarget, known: readonly KnownHost[]): void {
  if (host === undefined || autoRule({ named: host, config }) !== undefined) return;
  if (findKnownHost(known, host) !== undefined) return;
  if (findKnownHostAt(known, formatAddress(parseAddress(host))) !== undefined) return;
  throw new RmtxError('ERR_RMTX_UNKNOWN_HOST', `no paired host ${printable(host)}`, {
    hint: 'rmtx hosts list shows them',
  });
}

/** Resolves with how many packets went out; throws HOST_UNREACHABLE where none could. */
export async function sendWake(host: SleepingHost): Promise<number> {
  const sent = await sendWakePackets(host.hardwareAddresses, lanInterfaces());
  if (sent > 0) return sent;
  throw new RmtxError('ERR_RMTX_HOST_UNREACHABLE', 'no network here takes a wake-up packet', {
    hint: 'connect this machine to the network of the host, by cable or Wi-Fi; a VPN does not carry it',
  });
}

export interface Awakened {
  /** Where it answered. */
  readonly address: string;
  readonly waitedMs: number;
  readonly packets: number;
}

/**
 * Sends until the host has answered with its own key. Throws TIMED_OUT with what may be wrong, and as
 * {@link sendWake} does.
 */
export async function wakeHost(
  host: SleepingHost,
  options: { readonly target: HostTarget; readonly timeoutMs: number },
): Promise<Awakened> {
  const startedAt = performance.now();
  let packets = await sendWake(host);
  const over = new AbortController();
  const deadline = setTimeout(() => over.abort(), options.timeoutMs);
  const again = setInterval(() => {
    void sendWakePackets(host.hardwareAddresses, lanInterfaces()).then((sent) => (packets += sent));
  }, SEND_AGAIN_MS);
  let lastError: unknown;
  try {
    for (;;) {
      try {
        const address = await answeringAddress(host, options.target, over.signal);
        return { address, waitedMs: Math.round(performance.now() - startedAt), packets };
      } catch (error) {
        if (!mayPass(error)) throw error;
        if (over.signal.aborted) break;
        lastError = error;
      }
      await orAborted(delay(DIAL_PAUSE_MS), over.signal);
    }
    throw stillAsleep(host, { lastError, timeoutMs: options.timeoutMs });
  } finally {
    clearTimeout(deadline);
    clearInterval(again);
  }
}

async function answeringAddress(
  { choice }: SleepingHost,
  { home }: HostTarget,
  abortSignal: AbortSignal,
): Promise<string> {
  const limited = AbortSignal.any([abortSignal, AbortSignal.timeout(DIAL_LIMIT_MS)]);
  const dialed = await dialHost({ home, choice, alpn: ALPN_CONTROL, abortSignal: limited });
  dialed.socket.destroy();
  return dialed.address;
}

/** What ends with the machine's waking up, or with the limit of one attempt. */
function mayPass(error: unknown): boolean {
  if (!isRmtxError(error)) return error instanceof DOMException;
  return error.family === 'connection' || error.code === 'ERR_RMTX_FINGERPRINT_MISMATCH';
}

function addressUnknown({ name }: KnownHost): RmtxError {
  return new RmtxError(
    'ERR_RMTX_WAKE_ADDRESS_UNKNOWN',
    `what wakes ${printable(name)} is not known yet: no visit by its network card told its address`,
    { hint: 'visit it once while it is awake, on its own network: rmtx ping' },
  );
}

function stillAsleep(
  { name, hardwareAddresses }: SleepingHost,
  { lastError, timeoutMs }: { readonly lastError: unknown; readonly timeoutMs: number },
): RmtxError {
  if (isRmtxError(lastError) && lastError.family === 'trust') return lastError;
  const isUp = isRmtxError(lastError) && systemErrorCode(lastError.cause) === 'ECONNREFUSED';
  const message = `${printable(name)} did not answer within ${formatDuration(timeoutMs)}`;
  return new RmtxError('ERR_RMTX_TIMED_OUT', message, {
    cause: lastError,
    hint: isUp
      ? 'the machine is awake, but no rmtx host runs there: rmtx host install starts it by itself'
      : `Wake-on-LAN has to be switched on in its firmware and its system (Linux: ethtool -s IFACE wol g); few cards hear it over Wi-Fi or when the machine is off; it was called by ${hardwareAddresses.join(', ')}`,
  });
}
