import type { ResolvedConfig } from '../../config/resolved-config.js';
import { isRmtxError } from '../../errors.js';
import type { RmtxError } from '../../errors.js';
import { formatAddress, parseAddress } from '../../transport/address.js';
import type { Address } from '../../transport/address.js';
import { findKnownHost, listKnownHosts } from '../../trust/known-hosts.js';
import type { KnownHost } from '../../trust/known-hosts.js';
import { printable } from '../../util/printable.js';
import { formatDuration } from '../../util/units.js';
import { hostsDirectory } from '../home.js';
import type { ClientHome } from '../home.js';
import { chooseHost } from '../host-choice.js';
import type { HostChoice } from '../host-choice.js';
import type { Lookup } from './name-lookup.js';
import { failed, ok, warning } from './verdict.js';
import type { Finding } from './verdict.js';

/** An address as it was written or remembered, and the literals that it stands for. */
export interface NamedAddress {
  readonly written: Address;
  readonly literals: readonly string[];
}

export interface CheckedName {
  readonly finding: Finding;
  /** Undefined where no host is chosen; an address that was named can be looked at all the same. */
  readonly choice: HostChoice | undefined;
  /** Of the chosen host, what is remembered; undefined where several hosts may be meant. */
  readonly known: KnownHost | undefined;
  readonly addresses: readonly NamedAddress[];
  /** The user named this address: nobody looks for another one. */
  readonly isFinal: boolean;
  /** Nobody is paired with it, so that it can be examined only up to its key. */
  readonly isStranger: boolean;
}

export interface NameOptions {
  readonly home: ClientHome;
  readonly config: ResolvedConfig | undefined;
  /** `--host`. */
  readonly named: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly now: Date;
  readonly lookUp: (name: string) => Promise<Lookup>;
}

/** Which host is meant, by the rules of every command, and whether the names in its addresses mean anything. */
export async function checkName(options: NameOptions): Promise<CheckedName> {
  const known = listKnownHosts(hostsDirectory(options.home));
  const explicit = options.named ?? nonEmpty(options.env['RMTX_HOST']);
  const common = {
    isFinal: explicit !== undefined && findKnownHost(known, explicit) === undefined,
    isStranger: false,
    known: undefined,
    choice: undefined,
    addresses: [],
  };
  let choice: HostChoice;
  try {
    choice = chooseHost(options);
  } catch (error) {
    if (!isRmtxError(error)) throw error;
    const written = explicit ?? options.config?.host;
    if (error.code !== 'ERR_RMTX_NOT_PAIRED' || written === undefined)
      return { ...common, finding: notChosen(error) };
    // Whoever cannot pair wants to know why, too.
    const addresses = await resolve([parseAddress(written)], options.lookUp);
    const detail = `${printable(written)}, which this machine is not paired with`;
    const finding = troubleWithNames(addresses) ?? ok(detail);
    return { ...common, finding, addresses: addresses.map(({ named }) => named), isStranger: true };
  }
  const [pin, second] = choice.pins;
  const host =
    second === undefined ? known.find(({ fingerprint }) => fingerprint === pin) : undefined;
  const addresses = await resolve(choice.addresses, options.lookUp);
  return {
    ...common,
    choice,
    known: host,
    addresses: addresses.map(({ named }) => named),
    finding:
      troubleWithNames(addresses, choice.hintOfNames?.()) ?? ok(nameOf(choice, host, options.now)),
  };
}

interface Resolved {
  readonly named: NamedAddress;
  readonly lookup: Lookup;
}

function resolve(
  addresses: readonly Address[],
  lookUp: NameOptions['lookUp'],
): Promise<Resolved[]> {
  return Promise.all(
    addresses.map(async (written) => {
      const lookup = await lookUp(written.host);
      return {
        named: { written, literals: 'errorCode' in lookup ? [] : lookup.addresses },
        lookup,
      };
    }),
  );
}

/** Undefined where every name leads somewhere. One that does not is no failure while another does. */
function troubleWithNames(addresses: readonly Resolved[], hint?: string): Finding | undefined {
  const bad = addresses.flatMap(({ named, lookup }) =>
    'errorCode' in lookup ? [{ host: named.written.host, errorCode: lookup.errorCode }] : [],
  );
  const [first] = bad;
  if (first === undefined) return undefined;
  const verdict = bad.length < addresses.length ? warning : failed;
  const name = printable(first.host);
  if (first.errorCode === 'ENOTFOUND')
    return verdict(`the name ${name} is unknown`, {
      code: 'name-unknown',
      cause: 'it has a typing error, or is a name of another network',
      cure: [
        ...(hint === undefined ? [] : [hint]),
        "use the host's IP address: rmtx doctor --host ADDR",
      ],
    });
  return verdict(`the name ${name} could not be looked up (${first.errorCode})`, {
    code: 'no-name-service',
    cause: 'no name server answers: the network is not up, or a VPN has changed its settings',
    cure: ["use the host's IP address: rmtx doctor --host ADDR"],
  });
}

function notChosen({ code, message, hint }: RmtxError): Finding {
  const cure = hint === undefined ? ['say which one: rmtx doctor --host ADDR'] : [hint];
  if (code === 'ERR_RMTX_NOT_PAIRED')
    return failed(message, {
      code: 'not-paired',
      cause: 'no pairing has been made here, or RMTX_HOME names another place than before',
      cure: ["in the project's top folder: rmtx init"],
    });
  if (code === 'ERR_RMTX_HOST_NOT_SET')
    return failed(message, { code: 'several-hosts', cause: 'no config names one of them', cure });
  return failed(message, {
    code: 'address-invalid',
    cause: 'what --host, RMTX_HOST or the config says is no address',
    cure,
  });
}

function nameOf(choice: HostChoice, host: KnownHost | undefined, now: Date): string {
  const where = choice.addresses.map(formatAddress);
  const name = host === undefined ? '' : `${printable(host.name)} at `;
  const seen = host?.lastSeen === undefined ? '' : seenAgo(host, { at: where[0], now });
  return `${name}${where.map(printable).join(', ')}${seen} (${choice.rule})`;
}

function seenAgo(
  { lastSeen = '', lastAddress = '' }: KnownHost,
  { at, now }: { readonly at: string | undefined; readonly now: Date },
): string {
  const agoMs = now.getTime() - Date.parse(lastSeen);
  const when = agoMs < 60_000 ? 'just now' : `${formatDuration(agoMs)} ago`;
  return `, seen ${when}${at === lastAddress ? '' : ` at ${printable(lastAddress)}`}`;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}
