/** What a pairing is bound to beside the code: this connection, both keys, and all that was said. */
import { createHash } from 'node:crypto';
import { ByteWriter } from '../util/bytes.js';
import { fingerprintBytes } from './fingerprint.js';
import type { PairingChannel } from './pairing-exchange.js';
import type { ClientOpening, HostReply } from './pairing-messages.js';
import type { Spake2Keys, Spake2Party, Spake2Share } from './spake2.js';

const IDENTITY_A = 'rmtx-client';
const IDENTITY_B = 'rmtx-host';
/** First in the binding, so that its bytes can be nothing else's. */
const BINDING_NAME = 'rmtx pairing binding 1';

export type StartOpening = Extract<ClientOpening, { type: 'start' }>;
export type ShareReply = Extract<HostReply, { type: 'share' }>;

/** One side's view of a run after the shares have crossed. */
export interface PairingRun {
  readonly channel: PairingChannel;
  readonly opening: StartOpening;
  readonly reply: ShareReply;
  readonly party: Spake2Party;
  readonly peer: Spake2Share;
}

/** The confirmations of this run; undefined is to be treated as a wrong one (see Spake2Party). */
export function derivePairingKeys(run: PairingRun): Spake2Keys | undefined {
  return run.party.finish(run.peer, {
    identityA: IDENTITY_A,
    identityB: IDENTITY_B,
    associatedData: bindingOf(run),
  });
}

/**
 * Each part after its length. Hashed, because HKDF's info has a limit in Node and a label has not much
 * of one. The range of versions that was offered is in it, so nobody can talk both sides down.
 */
function bindingOf({ channel, opening, reply }: PairingRun): Buffer {
  const { min, max } = opening.versions;
  const parts = [
    Buffer.from(BINDING_NAME),
    channel.exporter,
    fingerprintBytes(channel.clientFingerprint),
    fingerprintBytes(channel.hostFingerprint),
    Buffer.from([min, max, reply.version].join(' ')),
    Buffer.from(opening.role),
    Buffer.from(opening.label),
    Buffer.from(reply.hostName),
  ];
  const writer = new ByteWriter();
  for (const part of parts) writer.prefixed(part);
  return createHash('sha256').update(writer.view()).digest();
}
