/** What the pairing tests share: connections in memory and over real TLS, windows with a known secret. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { fingerprintOfCertificate, parseFingerprint } from '../../../src/trust/fingerprint.js';
import type { Fingerprint } from '../../../src/trust/fingerprint.js';
import { loadOrCreateIdentity } from '../../../src/trust/identity.js';
import type { Identity } from '../../../src/trust/identity.js';
import { derivePairingScalar, parsePairingCode } from '../../../src/trust/pairing-code.js';
import {
  PAIRING_EXPORTER_BYTES,
  PAIRING_EXPORTER_LABEL,
  pairAsHost,
} from '../../../src/trust/pairing-exchange.js';
import type {
  HostPairingOptions,
  NewClient,
  PairingChannel,
  PairingOutcome,
} from '../../../src/trust/pairing-exchange.js';
import { PairingWindow } from '../../../src/trust/pairing-window.js';

export const CODE = parsePairingCode('1234 5671');
/** scrypt costs a tenth of a second: once for the whole file. */
let scalar: Promise<Buffer> | undefined;

export async function rightScalar(): Promise<Buffer> {
  scalar ??= derivePairingScalar(CODE);
  return Buffer.from(await scalar);
}

export function wrongScalar(): Buffer {
  return Buffer.alloc(32, 7);
}

export function randomFingerprint(): Fingerprint {
  return parseFingerprint(randomBytes(32).toString('hex'));
}

export function scratchDirectory(): { readonly path: string } & Disposable {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'rmtx-trust-'));
  return {
    path: directory,
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** A clock that a test sets; it moves by itself by `stepMs` each time it is read. */
export class TestClock {
  nowMs = 1_700_000_000_000;
  stepMs = 0;
  readonly read = (): number => (this.nowMs += this.stepMs);
}

/** A host in a test: its window with a known code, and whom it came to trust. */
export class TestHost {
  readonly clock = new TestClock();
  readonly window = new PairingWindow({ now: this.clock.read });
  readonly trusted: NewClient[] = [];
  readonly asked: string[] = [];

  /** Opens the window for {@link CODE}. */
  async open(ttlMs = 300_000, label?: string): Promise<void> {
    const expiresAtMs = this.clock.nowMs + ttlMs;
    this.window.adopt({ scalar: await rightScalar(), expiresAtMs, label });
  }

  serve(
    channel: PairingChannel,
    options: Partial<HostPairingOptions> = {},
  ): Promise<PairingOutcome> {
    // Exchanges of one test come one after the other, not as a flood.
    this.clock.nowMs += 1000;
    return pairAsHost(channel, {
      window: this.window,
      hostName: 'big-box',
      onPaired: (client) => void this.trusted.push(client),
      onAsked: (label) => void this.asked.push(label),
      ...options,
    });
  }
}

/** Both ends of a connection that nobody is in between of. */
export function memoryChannels(): {
  readonly client: PairingChannel;
  readonly host: PairingChannel;
} {
  const [left, right] = duplexPair();
  const common = {
    exporter: randomBytes(PAIRING_EXPORTER_BYTES),
    clientFingerprint: randomFingerprint(),
    hostFingerprint: randomFingerprint(),
  };
  return { client: { ...common, stream: left }, host: { ...common, stream: right } };
}

/** Two ends of a byte stream in memory, with back-pressure, ends and closes like a socket's. */
export function duplexPair(): [Duplex, Duplex] {
  const left = new MemoryDuplex();
  const right = new MemoryDuplex();
  left.peer = right;
  right.peer = left;
  return [left, right];
}

class MemoryDuplex extends Duplex {
  peer: MemoryDuplex | undefined;
  #whenRead: (() => void) | undefined;

  constructor() {
    super({ allowHalfOpen: false });
  }

  override _read(): void {
    const whenRead = this.#whenRead;
    this.#whenRead = undefined;
    whenRead?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.peer === undefined || this.peer.destroyed) done();
    else if (this.peer.push(chunk)) done();
    else this.peer.#whenRead = done;
  }

  override _final(done: () => void): void {
    this.peer?.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { peer } = this;
    // As with a socket: the other side sees the end, not our reason.
    if (peer !== undefined && !peer.destroyed && !peer.readableEnded) peer.push(null);
    done(error);
  }
}

/** A host's TLS listener on loopback; every connection goes to `onChannel`. */
export async function tlsListener(
  identity: Identity,
  onChannel: (channel: PairingChannel) => void,
): Promise<{ readonly port: number } & AsyncDisposable> {
  const server = tls.createServer(
    {
      key: identity.keyPem,
      cert: identity.certPem,
      minVersion: 'TLSv1.3',
      requestCert: true,
      rejectUnauthorized: false,
    },
    (socket) => {
      const peer = fingerprintOfCertificate(socket.getPeerX509Certificate());
      if (peer === undefined) throw new Error('no client certificate');
      const exporter = exporterOf(socket);
      onChannel({
        stream: socket,
        exporter,
        clientFingerprint: peer,
        hostFingerprint: identity.fingerprint,
      });
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}

export async function tlsConnect(identity: Identity, port: number): Promise<PairingChannel> {
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    key: identity.keyPem,
    cert: identity.certPem,
    minVersion: 'TLSv1.3',
    rejectUnauthorized: false,
  });
  await once(socket, 'secureConnect');
  const peer = fingerprintOfCertificate(socket.getPeerX509Certificate());
  if (peer === undefined) throw new Error('no host certificate');
  return {
    stream: socket,
    exporter: exporterOf(socket),
    clientFingerprint: identity.fingerprint,
    hostFingerprint: peer,
  };
}

export function newIdentity(directory: string, name: string): Identity {
  return loadOrCreateIdentity(path.join(directory, name));
}

function exporterOf(socket: tls.TLSSocket): Buffer {
  return socket.exportKeyingMaterial(
    PAIRING_EXPORTER_BYTES,
    PAIRING_EXPORTER_LABEL,
    Buffer.alloc(0),
  );
}
