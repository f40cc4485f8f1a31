/**
 * The host's story: take the state directory, listen, find out who is calling (`listener.ts`), hand the
 * call on.
 */
import { captureBaseEnvironment } from '../runtime/base-environment.js';
import { loadOrCreateIdentity } from '../trust/identity.js';
import type { Identity } from '../trust/identity.js';
import { TrustStore } from '../trust/trust-store.js';
import { adminRoutes } from './admin-api.js';
import { announceHost } from './announcement.js';
import { Contexts } from './contexts.js';
import { ControlSocket } from './control-socket.js';
import { collectOldBlobs } from './garbage.js';
import { Listener } from './listener.js';
import { PairingService } from './pairing-service.js';
import { Runs } from './runs.js';
import type { HostServices } from './services.js';
import { openStateDirectory } from './state-directory.js';
import { HostStats } from './stats.js';
import { StayAwake } from './stay-awake.js';
import { closeWorkspaceWorkers, prewarmWorkspaceWorkers } from './workspace-threads.js';

export interface HostOptions {
  /** `ADDR:PORT` or `:PORT` (every IPv4 and IPv6 address); port 0 picks one. */
  readonly listen: string;
  readonly stateDirectory: string;
  readonly name: string;
  /** The service that it announces itself under; undefined: it does not. */
  readonly service: string | undefined;
  /** Whether this machine is kept from sleeping while a run is active. */
  readonly keepsAwake: boolean;
  readonly log: (line: string) => void;
}

export interface HostServer {
  readonly addresses: string[];
  readonly fingerprint: string;
  readonly hasClients: boolean;
  /** With the code of a window that was left while no host ran. */
  readonly isPairingOpen: boolean;
  openPairingWindow(options: { readonly ttlMs: number; readonly label?: string }): Promise<{
    readonly code: string;
    readonly expiresAt: Date;
    readonly host: string;
    readonly fingerprint: string;
  }>;
  /** Takes no more runs, ends those that go on, closes everything; resolves when all is gone. */
  stop(): Promise<void>;
}

const HOUSEKEEPING_MS = 3600 * 1000;

/**
 * Starts a host. Rejects with ERR_RMTX_STATE_IN_USE where another host has the state directory, and
 * with ERR_RMTX_CANNOT_LISTEN where the address is taken or not of this machine.
 */
export async function startHost(options: HostOptions): Promise<HostServer> {
  const paths = openStateDirectory(options.stateDirectory);
  const late: { routes: ReturnType<typeof adminRoutes> } = { routes: {} };
  const control = await ControlSocket.acquire(paths.controlSocket, {
    stateDirectory: paths.root,
    routes: () => late.routes,
    log: options.log,
  });
  try {
    const identity = loadOrCreateIdentity(paths.identity);
    const { name, log } = options;
    const trust = new TrustStore(paths.clients, { log });
    const contexts = new Contexts(paths, log);
    const runs = new Runs(paths.runs, log);
    const services: HostServices = {
      name,
      paths,
      trust,
      contexts,
      runs,
      stats: new HostStats({ name, stateDirectory: paths.root, contexts, runs }),
      stayAwake: new StayAwake({ isEnabled: options.keepsAwake, log }),
      baseEnvironment: captureBaseEnvironment(),
      log,
    };
    await services.runs.recover();
    await services.contexts.sweepDeleted();
    void collectOldBlobs(services);
    prewarmWorkspaceWorkers();
    const pairing = new PairingService({
      stateDirectory: paths.root,
      hostName: name,
      fingerprint: identity.fingerprint,
      trust,
      log,
    });
    const listener = new Listener({ services, pairing, identity });
    await listener.listen(options.listen);
    late.routes = adminRoutes({
      services,
      pairing,
      fingerprint: identity.fingerprint,
      addresses: () => listener.addresses,
      closeConnections: (fingerprint) => listener.closeConnections(fingerprint),
    });
    const isPairingOpen = pairing.openPending();
    const announcement = announce(options, { listener, pairing, services, identity });
    const housekeeping = setInterval(() => void keepHouse(services), HOUSEKEEPING_MS);
    return {
      addresses: listener.addresses,
      fingerprint: identity.fingerprint,
      hasClients: trust.list().length > 0,
      isPairingOpen,
      openPairingWindow: async ({ ttlMs, label }) => ({
        ...(await pairing.open({ ttlMs, label })),
        host: name,
        fingerprint: identity.fingerprint,
      }),
      stop: async () => {
        clearInterval(housekeeping);
        await announcement?.[Symbol.asyncDispose]();
        listener.refuseMore();
        await services.runs.stop();
        services.stayAwake[Symbol.dispose]();
        await listener.close();
        await closeWorkspaceWorkers();
        await control[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await control[Symbol.asyncDispose]();
    throw error;
  }
}

function announce(
  { service, name }: HostOptions,
  host: {
    readonly listener: Listener;
    readonly pairing: PairingService;
    readonly services: HostServices;
    readonly identity: Identity;
  },
): AsyncDisposable | undefined {
  const { listener, pairing, services } = host;
  const { fingerprint } = host.identity;
  const [address] = listener.addresses;
  if (service === undefined || address === undefined) return undefined;
  return announceHost({
    service,
    name,
    address,
    fingerprint,
    pairing,
    trust: services.trust,
    serve: (socket, options) => listener.serve(socket, options),
    log: services.log,
  });
}

/** Runs first: blobs that only they needed are not needed any more. */
async function keepHouse(services: HostServices): Promise<void> {
  await services.runs.tidy();
  await collectOldBlobs(services);
}
