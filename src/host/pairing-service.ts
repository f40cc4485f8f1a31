/** Pairing at the host: one window at a time, opened only here, served over ALPN `rmtx-pair/1`. */
import type { TLSSocket } from 'node:tls';
import { fingerprintOfCertificate } from '../trust/fingerprint.js';
import { plainIpAddress } from '../transport/address.js';
import type { Fingerprint } from '../trust/fingerprint.js';
import {
  PAIRING_EXPORTER_BYTES,
  PAIRING_EXPORTER_LABEL,
  pairAsHost,
} from '../trust/pairing-exchange.js';
import type { PairingOutcome } from '../trust/pairing-exchange.js';
import { PairingWindow } from '../trust/pairing-window.js';
import { takePendingWindow } from '../trust/pending-window.js';
import type { TrustStore } from '../trust/trust-store.js';
import { assertNever } from '../util/never.js';
import { printable } from '../util/printable.js';

export interface PairingServiceOptions {
  readonly stateDirectory: string;
  readonly hostName: string;
  readonly fingerprint: Fingerprint;
  readonly trust: TrustStore;
  readonly log: (line: string) => void;
}

export class PairingService {
  readonly #options: PairingServiceOptions;
  readonly #window = new PairingWindow();

  constructor(options: PairingServiceOptions) {
    this.#options = options;
  }

  /** Opens the window, in the place of any other and after any pause; the code is shown by the caller. */
  open(options: { readonly ttlMs: number; readonly label: string | undefined }): Promise<{
    readonly code: string;
    readonly expiresAt: Date;
  }> {
    // One that was left while no host ran must not come out later and replace this one.
    this.#takePending();
    return this.#window.open(options);
  }

  /** Whether a code would be taken now. */
  get isOpen(): boolean {
    return this.#window.state.kind === 'open';
  }

  /** Until when a code would be taken, in milliseconds since the epoch; undefined: none would. */
  get openUntilMs(): number | undefined {
    const { state } = this.#window;
    return state.kind === 'open' ? state.expiresAtMs : undefined;
  }

  /** Opens the window that was left while no host ran; false where there is none. */
  openPending(): boolean {
    return this.#takePending();
  }

  /** Serves one pairing connection to its end. */
  async serve(socket: TLSSocket): Promise<void> {
    const clientFingerprint = fingerprintOfCertificate(socket.getPeerX509Certificate());
    if (clientFingerprint === undefined) {
      socket.destroy();
      return;
    }
    const address = plainIpAddress(socket.remoteAddress ?? 'an unknown address');
    this.#takePending();
    const outcome = await pairAsHost(
      {
        stream: socket,
        exporter: socket.exportKeyingMaterial(
          PAIRING_EXPORTER_BYTES,
          PAIRING_EXPORTER_LABEL,
          Buffer.alloc(0),
        ),
        clientFingerprint,
        hostFingerprint: this.#options.fingerprint,
      },
      {
        window: this.#window,
        hostName: this.#options.hostName,
        onAsked: (label) => {
          this.#options.log(
            `${printable(label)} at ${address} asks to pair: run rmtx host pair-code`,
          );
        },
        onPaired: ({ label, role }) => {
          this.#options.trust.add({
            fingerprint: clientFingerprint,
            label,
            role,
            pairedFrom: address,
          });
        },
      },
    );
    const line = wordsFor(outcome);
    if (line !== undefined) this.#options.log(`${line} (from ${address})`);
  }

  #takePending(): boolean {
    const { stateDirectory, log } = this.#options;
    return takePendingWindow(stateDirectory, this.#window, { log });
  }
}

/** What the owner of the host should know; undefined where it was said already. */
function wordsFor(outcome: PairingOutcome): string | undefined {
  switch (outcome.kind) {
    case 'paired':
      return `paired with ${printable(outcome.client.label)}`;
    case 'refused':
      return `pairing refused to ${printable(outcome.label)}: ${outcome.reason}`;
    case 'failed':
      return `pairing failed: ${printable(outcome.error.message)}`;
    case 'asked':
      return undefined;
    default:
      return assertNever(outcome);
  }
}
