import { RmtxError } from '../errors.js';
import { createDeferred } from '../util/deferred.js';
import type { PeerConnection } from './connection.js';
import { badMessage } from './bad-message.js';

/** A peer that talks ahead of the conversation by more than this is not one of ours. */
const MAX_WAITING = 16;

interface Waiter<M> {
  resolve(message: M): void;
  reject(error: unknown): void;
}

export interface InboxOptions<M> {
  /** Throws for what is not a well-formed message. */
  readonly parse: (raw: unknown) => M;
  /** Takes what may come at any time; returns true when it did. It may throw to end the conversation. */
  readonly aside: (message: M) => boolean;
  /** Ends the connection after what `parse` or `aside` threw; it is destroyed where this is absent. */
  readonly refuse?: (error: Error) => void;
  /** Who the other side is, for the message when it is gone. */
  readonly peer: string;
}

/** What the other side says, in order, to be asked for one at a time. */
export class Inbox<M extends { readonly type: string }> {
  readonly #waiting: M[] = [];
  #wanted: Waiter<M> | undefined;
  #failure: Error | undefined;
  readonly #ended = createDeferred<never>();

  constructor(connection: PeerConnection, options: InboxOptions<M>) {
    connection.receiveMessages((raw) => {
      if (this.#failure !== undefined) return;
      try {
        this.#take(options.parse(raw), options);
      } catch (error) {
        const failure = this.#fail(error);
        // Whoever waits for a channel hears of it, too: a peer that only lives on would keep it waiting.
        if (options.refuse === undefined) connection.destroy(failure);
        else options.refuse(failure);
      }
    });
    void connection.closed.then((end) => {
      this.#fail(
        end.error ??
          new RmtxError(
            'ERR_RMTX_CONNECTION_LOST',
            `the connection to the ${options.peer} was lost`,
          ),
      );
    });
  }

  /** Rejects, with {@link failure}, when nothing more will come; for waits that are not for a message. */
  get ended(): Promise<never> {
    return this.#ended.promise;
  }

  /**
   * The next message; it must be one of these types (ERR_RMTX_BAD_MESSAGE otherwise). Rejects when the
   * connection is gone and nothing is waiting any more.
   */
  async next<T extends M['type']>(...types: readonly T[]): Promise<Extract<M, { type: T }>> {
    const message = this.#waiting.shift() ?? (await this.#arrival());
    if (!(types as readonly string[]).includes(message.type))
      throw badMessage(`${message.type} where ${types.join(' or ')} was expected`);
    return message as Extract<M, { type: T }>;
  }

  #arrival(): Promise<M> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) reject(this.#failure);
      else this.#wanted = { resolve, reject };
    });
  }

  #take(message: M, options: InboxOptions<M>): void {
    if (options.aside(message)) return;
    if (this.#wanted !== undefined) {
      this.#wanted.resolve(message);
      this.#wanted = undefined;
    } else if (this.#waiting.push(message) > MAX_WAITING) {
      throw badMessage('too many messages at once');
    }
  }

  #fail(error: unknown): Error {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
    this.#ended.reject(this.#failure);
    this.#wanted?.reject(this.#failure);
    this.#wanted = undefined;
    return this.#failure;
  }
}
