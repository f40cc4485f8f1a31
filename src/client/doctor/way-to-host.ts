/** The steps from the host's name to its key: as far as a stranger gets. */
import type { Duplex } from 'node:stream';
import { DEFAULT_DISCOVERY } from '../../config/resolved-config.js';
import type { ResolvedConfig } from '../../config/resolved-config.js';
import { lanInterfaces } from '../../discovery/lan-interfaces.js';
import { ALPN_RUN } from '../../protocol/messages.js';
import { formatAddress } from '../../transport/address.js';
import type { Address } from '../../transport/address.js';
import { fingerprintId } from '../../trust/fingerprint.js';
import type { Fingerprint } from '../../trust/fingerprint.js';
import type { Identity } from '../../trust/identity.js';
import { listKnownHosts } from '../../trust/known-hosts.js';
import { hostsDirectory } from '../home.js';
import type { ClientHome } from '../home.js';
import type { HostChoice } from '../host-choice.js';
import { dialAll } from './dialled-addresses.js';
import { HeardHosts } from './heard-hosts.js';
import { judgeIdentity } from './identity-step.js';
import { judgeInterface } from './interface-step.js';
import { lookUp } from './name-lookup.js';
import { checkName } from './name-step.js';
import type { CheckedName } from './name-step.js';
import { neighbourAt } from './neighbour.js';
import { interfaceOf, isLoopback, isNearby, isVpn, wayTo } from './route.js';
import type { StepRunner } from './step-runner.js';
import { dial, judgeTcp } from './tcp-step.js';
import type { Dial, DialedAddress } from './tcp-step.js';
import { judgeTls, shakeHands } from './tls-step.js';
import type { Handshake } from './tls-step.js';
import { claimsOf, judgeUdp } from './udp-step.js';
import type { UdpFacts } from './udp-step.js';
import { wayBackBeside } from './way-back.js';
import type { WayBack } from './way-back.js';

export interface WayOptions {
  readonly runner: StepRunner;
  readonly home: ClientHome;
  readonly identity: Identity;
  readonly config: ResolvedConfig | undefined;
  /** `--host`. */
  readonly host: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}

/** A host whose key has answered. */
export interface ReachedHost {
  readonly address: Address;
  readonly fingerprint: Fingerprint;
  readonly identity: Identity;
  /** Undefined: nobody is paired with it. */
  readonly choice: HostChoice | undefined;
  /** Its port could not be reached, and it dialled this machine. */
  readonly isDialedBack: boolean;
  /** It took the language of runs; else it is of another protocol version. */
  readonly speaksRuns: boolean;
  /** What it said of itself on the network, at the time of asking. */
  readonly platform: string | undefined;
  readonly loadPercent: number | undefined;
}

/** The rest of each limit is for judging: asking the neighbour table, a second handshake. */
const LIMIT_MS = { name: 2500, interface: 2500, udp: 2000, tcp: 6500, tls: 4500, identity: 500 };
const LOOKUP_MS = 2000;
/** Longer than the three seconds in which a system finds out that nobody has an address. */
const DIAL_MS = 3800;
const HANDSHAKE_MS = 2000;
/** Whoever makes up addresses on the network gets so many of our sockets. */
const MAX_ADDRESSES = 8;

export class WayToHost implements Disposable {
  readonly #options: WayOptions;
  readonly #interfaces = lanInterfaces();
  /** Closes what is still open. */
  readonly #over = new AbortController();
  #heard: HeardHosts | undefined;

  constructor(options: WayOptions) {
    this.#options = options;
  }

  /** Takes the steps up to the first that fails; undefined then. */
  async find(): Promise<ReachedHost | undefined> {
    const name = await this.#name();
    const literals = literalsOf(name);
    const [target] = literals;
    if (name === undefined || target === undefined) return undefined;
    this.#listen(name);
    if (!(await this.#interface(name, target))) return undefined;
    const addresses = await this.#udp(name, target);
    const opened = await this.#tcp(addresses, name);
    if (opened === undefined) return undefined;
    const answered = await this.#tls(opened, name);
    return answered === undefined ? undefined : this.#identity(answered, name);
  }

  [Symbol.dispose](): void {
    this.#over.abort();
    this.#heard?.[Symbol.dispose]();
  }

  async #name(): Promise<CheckedName | undefined> {
    const { runner, host, ...options } = this.#options;
    const name = await runner.take('name', LIMIT_MS.name, (abortSignal) =>
      checkName({
        ...options,
        named: host,
        now: new Date(),
        lookUp: (each) => lookUp(each, { timeoutMs: LOOKUP_MS, abortSignal }),
      }),
    );
    return name?.finding.verdict === 'failed' ? undefined : name;
  }

  /** From here on, so that what takes a while to be heard has that while. */
  #listen(name: CheckedName): void {
    const { isEnabled, service } = this.#discovery;
    if (!isEnabled) return;
    const about = { prefixes: prefixesOf(name), known: literalsOf(name).map(formatAddress) };
    this.#heard = new HeardHosts({
      service,
      isMeant: (host) => claimsOf({ ...about, heard: [host] }).length > 0,
    });
  }

  async #interface(name: CheckedName, target: Address): Promise<boolean> {
    const judged = await this.#options.runner.take(
      'interface',
      LIMIT_MS.interface,
      async (abortSignal) => {
        const way = await wayTo(target.host);
        const mayMove = 'errorCode' in way && !name.isFinal;
        const isHeardElsewhere =
          mayMove && (await this.#untilMeant(abortSignal, LIMIT_MS.interface - 500));
        const interfaces = this.#interfaces;
        return {
          finding: judgeInterface({ target: target.host, way, interfaces, isHeardElsewhere }),
        };
      },
    );
    return judged !== undefined && judged.finding.verdict !== 'failed';
  }

  /** Resolves to what there is to dial, best first. */
  async #udp(name: CheckedName, target: Address): Promise<Address[]> {
    const known = literalsOf(name);
    await this.#options.runner.take('udp', LIMIT_MS.udp, async (abortSignal) => {
      await this.#untilMeant(abortSignal, LIMIT_MS.udp - 100);
      return { finding: judgeUdp(this.#udpFacts(name, target)) };
    });
    const heard = name.isFinal ? [] : this.#claims(name).flatMap(({ addresses }) => addresses);
    const unique = new Map([...known, ...heard].map((each) => [formatAddress(each), each]));
    return [...unique.values()].slice(0, MAX_ADDRESSES);
  }

  async #tcp(addresses: readonly Address[], name: CheckedName): Promise<Opened[] | undefined> {
    const judged = await this.#options.runner.take('tcp', LIMIT_MS.tcp, async () => {
      const abortSignal = this.#over.signal;
      const direct = dialAll(addresses, { timeoutMs: DIAL_MS, abortSignal });
      const wayBack = await this.#wayBack(direct, addresses, name);
      const ends = await direct;
      const dialed = await Promise.all(
        addresses.map((address) => this.#describe(address, ends.get(formatAddress(address)))),
      );
      const others = this.#heard?.hosts.length ?? 0;
      const claims = this.#claims(name);
      return {
        opened: openedOf(dialed, wayBack),
        finding: judgeTcp({
          dialed,
          wayBack,
          platform: claims[0]?.facts.os,
          hearsOthers: others > claims.length,
        }),
      };
    });
    return judged === undefined || judged.finding.verdict === 'failed' ? undefined : judged.opened;
  }

  #wayBack(
    direct: ReturnType<typeof dialAll>,
    addresses: readonly Address[],
    { choice }: CheckedName,
  ): Promise<WayBack | undefined> {
    return wayBackBeside(direct, addresses, {
      identity: this.#options.identity,
      pins: choice?.pins,
      service: this.#discovery.isEnabled ? this.#discovery.service : undefined,
      abortSignal: this.#over.signal,
    });
  }

  /** The first that answers with a key that is meant; else the first that answers at all. */
  async #tls(opened: readonly Opened[], name: CheckedName): Promise<Answered | undefined> {
    const judged = await this.#options.runner.take('tls', LIMIT_MS.tls, async () => {
      const answers = [];
      for (const way of opened) {
        const handshake = await this.#handshake(way, name);
        answers.push({ ...way, handshake });
        if (isMeant(handshake, name)) break;
      }
      const answer =
        answers.findLast(({ handshake }) => isMeant(handshake, name)) ??
        answers.find(({ handshake }) => handshake.kind === 'secure') ??
        answers[0];
      if (answer === undefined) throw new Error('Internal error: no connection is open');
      return { answer, finding: judgeTls(answer) };
    });
    if (judged?.answer.handshake.kind !== 'secure') return undefined;
    const { address, isDialedBack, handshake } = judged.answer;
    return { address, isDialedBack, handshake };
  }

  async #identity(answered: Answered, name: CheckedName): Promise<ReachedHost | undefined> {
    const { address, isDialedBack, handshake } = answered;
    const { fingerprint, language } = handshake;
    const { runner, home, identity } = this.#options;
    const known = listKnownHosts(hostsDirectory(home));
    const pins = name.choice?.pins;
    const judged = await runner.take('identity', LIMIT_MS.identity, () => ({
      finding: judgeIdentity({ address, fingerprint, pins, known }),
    }));
    if (judged?.finding.verdict !== 'ok') return undefined;
    const facts = this.#claims(name).find(
      ({ identityPrefix }) => identityPrefix === fingerprintId(fingerprint),
    )?.facts;
    return {
      address,
      fingerprint,
      identity,
      choice: name.choice,
      isDialedBack,
      speaksRuns: language === ALPN_RUN,
      platform: facts?.os,
      loadPercent: facts?.loadPercent,
    };
  }

  async #handshake(
    { address, stream, isDialedBack }: Opened,
    name: CheckedName,
  ): Promise<Handshake> {
    const { identity } = this.#options;
    return shakeHands({
      address,
      identity,
      stream,
      pins: name.choice?.pins,
      timeoutMs: HANDSHAKE_MS,
      dialAgain: async () => {
        if (isDialedBack) {
          const back = await this.#wayBack(Promise.resolve(new Map()), [address], name);
          return back?.kind === 'open' ? back.stream : undefined;
        }
        const again = await dial(address, {
          timeoutMs: HANDSHAKE_MS,
          abortSignal: this.#over.signal,
        });
        return again.kind === 'open' ? again.stream : undefined;
      },
    });
  }

  async #describe(address: Address, end: Dial | undefined): Promise<DialedAddress> {
    const dialEnd: Dial = end ?? { kind: 'closed', errorCode: 'ETIMEDOUT', elapsedMs: 0 };
    const { host } = address;
    const key = formatAddress(address);
    const way = await wayTo(host);
    const through = 'source' in way ? interfaceOf(this.#interfaces, way.source) : undefined;
    return {
      address,
      dial: dialEnd,
      isHeard: (this.#heard?.hosts ?? []).some(({ addresses }) =>
        addresses.some((each) => formatAddress(each) === key),
      ),
      isNearby: isNearby(this.#interfaces, host),
      neighbour: dialEnd.kind === 'open' ? 'present' : await neighbourAt(host),
      vpn: through !== undefined && isVpn(through) ? through.name : undefined,
    };
  }

  async #untilMeant(abortSignal: AbortSignal, limitMs: number): Promise<boolean> {
    const limit = AbortSignal.any([abortSignal, AbortSignal.timeout(limitMs)]);
    return (await this.#heard?.untilMeant(limit)) ?? false;
  }

  #claims(name: CheckedName): ReturnType<typeof claimsOf> {
    const known = literalsOf(name).map(formatAddress);
    return claimsOf({ heard: this.#heard?.hosts ?? [], prefixes: prefixesOf(name), known });
  }

  #udpFacts(name: CheckedName, target: Address): UdpFacts {
    const isNear = isNearby(this.#interfaces, target.host);
    return {
      isOn: this.#heard !== undefined,
      service: this.#discovery.service,
      heard: this.#heard?.hosts ?? [],
      prefixes: prefixesOf(name),
      known: literalsOf(name).map(formatAddress),
      listenedMs: this.#heard?.listenedMs ?? 0,
      distance: isLoopback(target.host) ? 'self' : isNear ? 'near' : 'far',
      isFinal: name.isFinal,
    };
  }

  get #discovery(): typeof DEFAULT_DISCOVERY {
    return this.#options.config?.discovery ?? DEFAULT_DISCOVERY;
  }
}

/** A connection that stands, whoever has made it. */
interface Opened {
  readonly address: Address;
  readonly stream: Duplex;
  readonly isDialedBack: boolean;
}

interface Answered extends Omit<Opened, 'stream'> {
  readonly handshake: Extract<Handshake, { kind: 'secure' }>;
}

function openedOf(dialed: readonly DialedAddress[], wayBack: WayBack | undefined): Opened[] {
  if (wayBack?.kind === 'open') {
    const { address, stream } = wayBack;
    return [{ address, stream, isDialedBack: true }];
  }
  return dialed.flatMap(({ address, dial: end }) =>
    end.kind === 'open' ? [{ address, stream: end.stream, isDialedBack: false }] : [],
  );
}

function isMeant(handshake: Handshake, { choice }: CheckedName): boolean {
  return handshake.kind === 'secure' && choice?.pins.includes(handshake.fingerprint) !== false;
}

function literalsOf(name: CheckedName | undefined): Address[] {
  return (name?.addresses ?? []).flatMap(({ written, literals }) =>
    literals.map((host) => ({ host, port: written.port })),
  );
}

function prefixesOf({ choice }: CheckedName): ReturnType<typeof fingerprintId>[] | undefined {
  return choice?.pins.map(fingerprintId);
}
