import type { Socket } from 'node:net';
import { plainIpAddress } from '../transport/address.js';

/** Handshake and first message together: an idle timer alone lets a peer trickle bytes for ever. */
const DEADLINE_MS = 10_000;
/** Sockets that have not yet proven who they are. */
const MAX_PENDING = 256;

interface Pending {
  readonly source: string;
  readonly timer: NodeJS.Timeout;
}

/**
 * Keeps strangers from using up the host. A socket is pending until it has proven to be a paired
 * client; it then has one absolute deadline. When too many are pending, the oldest of the source that
 * holds most of them makes room, so a flood pushes out itself and not a paired client who is just
 * arriving (whose handshake takes milliseconds).
 */
export class Admission {
  /** In order of arrival. */
  readonly #pending = new Map<Socket, Pending>();
  readonly #deadlineMs: number;
  readonly #maxPending: number;

  constructor(options: { readonly deadlineMs?: number; readonly maxPending?: number } = {}) {
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    this.#maxPending = options.maxPending ?? MAX_PENDING;
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Starts the clock of a fresh socket. */
  watch(socket: Socket): void {
    const timer = setTimeout(() => socket.destroy(), this.#deadlineMs);
    timer.unref();
    this.#pending.set(socket, { source: sourceOf(socket.remoteAddress ?? ''), timer });
    socket.once('close', () => this.admit(socket));
    if (this.#pending.size > this.#maxPending) this.#makeRoom();
  }

  /** The socket's owner is known and has spoken: no deadline from now on. */
  admit(socket: Socket): void {
    const entry = this.#pending.get(socket);
    if (entry === undefined) return;
    clearTimeout(entry.timer);
    this.#pending.delete(socket);
  }

  #makeRoom(): void {
    const counts = new Map<string, number>();
    for (const { source } of this.#pending.values())
      counts.set(source, (counts.get(source) ?? 0) + 1);
    const [busiest] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a));
    for (const [socket, { source }] of this.#pending) {
      if (source !== busiest) continue;
      this.admit(socket);
      socket.destroy();
      return;
    }
  }
}

/** One source: an IPv4 address, or the /64 that an IPv6 user can pick addresses from at will. */
function sourceOf(address: string): string {
  const plain = plainIpAddress(address);
  if (!plain.includes(':')) return plain;
  const [head = '', tail] = plain.split('::');
  const groups = head.split(':').filter((group) => group !== '');
  const missing =
    tail === undefined ? 0 : 8 - groups.length - tail.split(':').filter(Boolean).length;
  const all = [
    ...groups,
    ...Array<string>(Math.max(0, missing)).fill('0'),
    ...(tail ?? '').split(':'),
  ];
  return all.slice(0, 4).join(':');
}
