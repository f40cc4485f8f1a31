/** A window that somebody sits at: a shell in tmux, with what it shows. */
import { execFile } from 'node:child_process';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { BIN, scratchDirectory } from './rig.js';
import type { RigProject } from './rig.js';

const run = promisify(execFile);
const WAIT_MS = 15_000;
const LOOK_MS = 25;

export class Window implements AsyncDisposable {
  readonly #directory: string;
  readonly #env: NodeJS.ProcessEnv;

  private constructor(directory: string, env: NodeJS.ProcessEnv) {
    this.#directory = directory;
    this.#env = env;
  }

  /** A shell in the project's root, in which `rmtx` is the real one of the project's client. */
  static async open(project: RigProject): Promise<Window> {
    const directory = scratchDirectory();
    const { home } = project.client;
    const rmtx = path.join(directory, 'rmtx');
    writeFileSync(rmtx, `#!/bin/sh\nexec "${process.execPath}" "${BIN}" "$@"\n`);
    chmodSync(rmtx, 0o755);
    const env = {
      PATH: `${directory}:${process.env['PATH'] ?? ''}`,
      HOME: home,
      RMTX_HOME: path.join(home, '.rmtx'),
      SHELL: '/bin/sh',
      LANG: 'C.UTF-8',
      PS1: 'ready> ',
      COLORTERM: 'truecolor',
      TERM: 'xterm-256color',
    };
    const window = new Window(directory, env);
    const place = ['-x', '100', '-y', '30', '-c', project.root];
    try {
      await window.tmux('-f', '/dev/null', 'new-session', '-d', ...place, 'exec sh');
      await window.shows(/ready>$/);
      return window;
    } catch (error) {
      await window[Symbol.asyncDispose]();
      throw error;
    }
  }

  async tmux(...args: readonly string[]): Promise<string> {
    const socket = path.join(this.#directory, 'socket');
    const { stdout } = await run('tmux', ['-S', socket, ...args], { env: this.#env });
    return stdout;
  }

  /** What is on the screen, without the blank end. */
  async screen(): Promise<string> {
    return (await this.tmux('capture-pane', '-p', '-J')).trimEnd();
  }

  /** Presses keys by tmux's names for them: `Enter`, `C-c`, `Escape`. */
  async press(...keys: readonly string[]): Promise<void> {
    await this.tmux('send-keys', ...keys);
  }

  /** Types text as it is. */
  async type(text: string): Promise<void> {
    await this.tmux('send-keys', '-l', text);
  }

  /** Types a command line on an empty screen, so that what is seen later is what it has printed. */
  async enter(line: string): Promise<void> {
    await this.tmux('clear-history');
    await this.type(`clear; ${line}`);
    await this.press('Enter');
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.tmux('resize-window', '-x', String(columns), '-y', String(rows));
  }

  async paste(text: string): Promise<void> {
    const file = path.join(this.#directory, 'paste');
    writeFileSync(file, text);
    await this.tmux('load-buffer', file);
    await this.tmux('paste-buffer');
  }

  /** Resolves with the screen once it matches. */
  async shows(wanted: RegExp, waitMs = WAIT_MS): Promise<string> {
    const deadline = performance.now() + waitMs;
    for (;;) {
      const screen = await this.screen();
      if (wanted.test(screen)) return screen;
      if (performance.now() > deadline)
        throw new Error(`the screen never showed ${String(wanted)}:\n${screen}`);
      await delay(LOOK_MS);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tmux('kill-server').catch(() => undefined);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
