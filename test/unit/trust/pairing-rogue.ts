/** What an attacker of the pairing has: a client of its own, and a place in between. */
import assert from 'node:assert/strict';
import { Transform } from 'node:stream';
import type { Duplex } from 'node:stream';
import { derivePairingKeys } from '../../../src/trust/pairing-binding.js';
import type { StartOpening } from '../../../src/trust/pairing-binding.js';
import { pairAsClient } from '../../../src/trust/pairing-exchange.js';
import type { PairingChannel } from '../../../src/trust/pairing-exchange.js';
import { PairingWire } from '../../../src/trust/pairing-wire.js';
import { Spake2Party, parseShare } from '../../../src/trust/spake2.js';
import type { TestHost } from './pairing-rig.js';
import { CODE, duplexPair, memoryChannels } from './pairing-rig.js';

export const wanted = { code: CODE, label: 'laptop', wantedRole: 'exec' } as const;

export interface Message {
  readonly type: string;
  readonly reason?: string;
  readonly tries_left?: number;
  readonly share?: string;
  readonly mac?: string;
}

/** A client of the attacker's: speaks the protocol with whatever secret it has. */
export class RogueClient {
  readonly wire: PairingWire;
  readonly #channel: PairingChannel;
  readonly #party: Spake2Party;
  readonly #opening: StartOpening;

  constructor(channel: PairingChannel, secret: Buffer, label = 'rogue') {
    this.#channel = channel;
    this.wire = new PairingWire(channel.stream, 5000);
    this.#party = new Spake2Party({ role: 'A', secret });
    this.#opening = {
      type: 'start',
      versions: { min: 1, max: 1 },
      role: 'exec',
      label,
      share: this.#party.share,
    };
  }

  async receive(): Promise<Message> {
    return (await this.wire.receive()) as Message;
  }

  start(share: Buffer = this.#party.share): void {
    this.wire.send({ ...this.#opening, share: share.toString('hex') });
  }

  /** Confirms after the host's share, with what its secret gives. */
  async confirm(reply: Message): Promise<Message> {
    assert.equal(reply.type, 'share', JSON.stringify(reply));
    const share = Buffer.from(reply.share ?? '', 'hex');
    const keys = derivePairingKeys({
      channel: this.#channel,
      opening: this.#opening,
      reply: { type: 'share', version: 1, hostName: 'big-box', share },
      party: this.#party,
      peer: parseShare(share),
    });
    assert.ok(keys);
    this.wire.send({ type: 'confirm', mac: keys.confirmationA.toString('hex') });
    return this.receive();
  }

  /** The whole exchange; the host's last word. */
  async run(): Promise<Message> {
    this.start();
    const reply = await this.receive();
    return reply.type === 'share' ? this.confirm(reply) : reply;
  }
}

/** One guess from a connection and key of its own; what the host answered. */
export async function guess(host: TestHost, secret: Buffer): Promise<Message> {
  const channels = memoryChannels();
  const rogue = new RogueClient(channels.client, secret);
  const [reply] = await Promise.all([rogue.run(), host.serve(channels.host)]);
  rogue.wire.destroy();
  return reply;
}

export async function refusalOfHonestClient(host: TestHost, code: string): Promise<void> {
  const channels = memoryChannels();
  await Promise.all([
    host.serve(channels.host),
    assert.rejects(pairAsClient(channels.client, wanted), { code }),
  ]);
}

/** The client's stream with one piece of text changed wherever it passes. */
export function tampered(
  stream: Duplex,
  before: string,
  after: string,
): { readonly stream: Duplex; count: () => number } {
  let count = 0;
  const change = (chunk: Buffer): Buffer => {
    // Bytes as characters: the length before the text is to come through unchanged.
    const text = chunk.toString('latin1');
    if (text.includes(before)) count += 1;
    return Buffer.from(text.replace(before, after), 'latin1');
  };
  return { stream: viewed(stream, change, change), count: () => count };
}

/** The client's stream, with a copy of what the client said. */
export function recorded(stream: Duplex): { readonly stream: Duplex; sent: () => Buffer[] } {
  const sent: Buffer[] = [];
  const keep = (chunk: Buffer): Buffer => {
    sent.push(chunk);
    return chunk;
  };
  return { stream: viewed(stream, keep, (chunk) => chunk), sent: () => sent };
}

export function viewed(
  stream: Duplex,
  outward: (chunk: Buffer) => Buffer,
  inward: (chunk: Buffer) => Buffer,
): Duplex {
  const [near, far] = duplexPair();
  far.pipe(through(outward)).pipe(stream);
  stream.pipe(through(inward)).pipe(far);
  return near;
}

export function through(change: (chunk: Buffer) => Buffer): Transform {
  return new Transform({
    transform: (chunk: Buffer, _encoding, done) => done(null, change(chunk)),
  });
}
