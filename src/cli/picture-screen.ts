/**
 * A picture that is drawn over itself, on the terminal's other screen, until somebody leaves it. Whatever
 * happens, the terminal is given back as it was: its lines, its modes, its cursor.
 */

/** Private modes of xterm that all of today's terminals have: other screen, cursor, wrapping. */
const ENTER = '\u001b[?1049h\u001b[?25l\u001b[?7l';
const LEAVE = '\u001b[?7h\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_LINE = '\u001b[2K';
const CLEAR_BELOW = '\u001b[J';
const CLEAR_ALL = '\u001b[2J';

const CTRL_C = '\u0003';
const CTRL_D = '\u0004';
const CTRL_L = '\u000c';
const CTRL_Z = '\u001a';
const ESCAPE = '\u001b';

/** What ends a process politely; each is told apart by its number in the exit status. */
const ENDING = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const;
const AGES_TICK_MS = 1000;
const USUAL_SIZE = { columns: 80, rows: 24 } as const;

export interface PictureScreenOptions {
  /** The lines to show; none may be longer than there are columns, nor may there be more than rows. */
  readonly draw: (size: { readonly columns: number; readonly rows: number }) => readonly string[];
  /** Somebody has left: 0 after `q`, 130 after Ctrl-C, 128+n after a signal. */
  readonly onLeave: (exitCode: number) => void;
}

export class PictureScreen implements Disposable {
  readonly #options: PictureScreenOptions;
  readonly #hasKeys = process.stdin.isTTY;
  readonly #onKeys = (bytes: Buffer): void => this.#type(bytes.toString('latin1'));
  readonly #onResize = (): void => this.redraw(CLEAR_ALL);
  readonly #onContinue = (): void => this.#show();
  readonly #onExit = (): void => this.#hide();
  readonly #onGone = (): void => this.#options.onLeave(128 + ENDING.SIGHUP);
  readonly #onSignal = (name: NodeJS.Signals): void =>
    this.#options.onLeave(128 + ENDING[name as keyof typeof ENDING]);
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PictureScreenOptions) {
    this.#options = options;
  }

  /** Takes the terminal; idempotent. */
  open(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.redraw(), AGES_TICK_MS);
    process.stdout.on('resize', this.#onResize);
    process.on('SIGCONT', this.#onContinue);
    // Also where the process ends on the way.
    process.on('exit', this.#onExit);
    for (const name of Object.keys(ENDING)) process.on(name, this.#onSignal);
    if (this.#hasKeys) {
      process.stdin.on('data', this.#onKeys);
      process.stdin.on('end', this.#onGone);
      // EIO: the terminal was closed.
      process.stdin.on('error', this.#onGone);
    }
    this.#show();
  }

  redraw(before = ''): void {
    if (this.#timer === undefined) return;
    const { columns, rows } = process.stdout;
    // A terminal that does not know its size says 0.
    const size = columns > 0 && rows > 0 ? { columns, rows } : USUAL_SIZE;
    // Cleared before it is written: behind a line that fills the screen the cursor stands on its last character.
    const lines = this.#options.draw(size).map((line) => `${CLEAR_LINE}${line}`);
    const after = lines.length < size.rows ? `\r\n${CLEAR_BELOW}` : '';
    process.stdout.write(`${before}${HOME}${lines.join('\r\n')}${after}`);
  }

  [Symbol.dispose](): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    process.stdout.off('resize', this.#onResize);
    process.off('SIGCONT', this.#onContinue);
    process.off('exit', this.#onExit);
    for (const name of Object.keys(ENDING)) process.off(name, this.#onSignal);
    if (this.#hasKeys) {
      process.stdin.off('data', this.#onKeys);
      process.stdin.off('end', this.#onGone);
      process.stdin.pause();
    }
    this.#hide();
  }

  #type(keys: string): void {
    // Arrows and the like are several characters, and any of them may be among what they begin with.
    if (keys.startsWith(ESCAPE)) return;
    if (keys.includes(CTRL_C)) this.#options.onLeave(128 + ENDING.SIGINT);
    else if (/[qQ]/.test(keys) || keys.includes(CTRL_D)) this.#options.onLeave(0);
    else if (keys.includes(CTRL_Z)) this.#suspend();
    else if (keys.includes(CTRL_L)) this.redraw(CLEAR_ALL);
  }

  /** As the terminal itself would do it, were it not in raw mode: to all of the foreground. */
  #suspend(): void {
    if (process.platform === 'win32') return;
    this.#hide();
    process.kill(0, 'SIGTSTP');
    // Here it goes on again; at once where there is no shell to come back from.
    this.#show();
  }

  #show(): void {
    this.#setRawMode(true);
    process.stdout.write(ENTER);
    this.redraw(CLEAR_ALL);
  }

  #hide(): void {
    process.stdout.write(LEAVE);
    this.#setRawMode(false);
  }

  #setRawMode(isRaw: boolean): void {
    if (!this.#hasKeys) return;
    try {
      // Node does nothing where it believes that the mode is this one already; a shell may have changed it.
      if (isRaw) process.stdin.setRawMode(false);
      process.stdin.setRawMode(isRaw);
    } catch {
      // The terminal is gone: there is nothing to put back.
    }
  }
}
