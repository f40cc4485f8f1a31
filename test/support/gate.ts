import { once } from 'node:events';
import net from 'node:net';
import type { Socket } from 'node:net';
import path from 'node:path';
import { fixture } from './commands.js';
import type { RunningRmtx } from './rig.js';

let gates = 0;

/**
 * A place where commands stop until the test lets them go on, so that a test can do something exactly
 * while a command runs.
 */
export class Gate implements AsyncDisposable {
  /** For a shell script: arrives here and waits. Fails at once where the gate is gone. */
  readonly command: string;
  readonly #server = net.createServer();
  readonly #waiting = new Set<Socket>();

  private constructor(address: string) {
    this.command = `'${process.execPath}' '${fixture('wait-at-gate.mjs')}' '${address}'`;
    this.#server.on('connection', (socket) => {
      // A command that was killed there.
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#waiting.delete(socket);
        this.#server.emit('departure');
      });
      socket.resume();
      this.#waiting.add(socket);
      this.#server.emit('arrival');
    });
  }

  /** `directory` must have a short path: a socket's address has about 100 bytes. */
  static async in(directory: string): Promise<Gate> {
    gates += 1;
    const address = path.join(directory, `gate-${gates}`);
    const gate = new Gate(address);
    gate.#server.listen(address);
    await once(gate.#server, 'listening');
    return gate;
  }

  /** Resolves when so many commands stand here; rejects where the run ends before. */
  async arrived(running: RunningRmtx, count = 1): Promise<void> {
    while (this.#waiting.size < count) {
      const first = await Promise.race([once(this.#server, 'arrival'), running.ended]);
      if ('stderr' in first && this.#waiting.size < count)
        throw new Error(`ended before the gate (${String(first.code)}): ${first.stderr}`);
    }
  }

  /** Lets those go on that stand here now. */
  open(): void {
    for (const socket of this.#waiting) socket.end();
    this.#waiting.clear();
  }

  /** Resolves when all that stood here were ended by somebody. */
  async abandoned(): Promise<void> {
    while (this.#waiting.size > 0) await once(this.#server, 'departure');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.open();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
