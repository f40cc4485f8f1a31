/**
 * What a command on the terminal has switched there, read off its output: the other screen, the mouse, a
 * hidden cursor, what keys send. One that ends in order switches it back itself; one that is killed, or whose
 * host is, leaves the shell with it.
 */

/** Off in a terminal that nothing runs in; `CSI ? N h` switches them on. */
const USUALLY_OFF = new Set(
  // Cursor keys, the other screen, mouse and focus reports, bracketed paste.
  [1, 9, 47, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 1047, 1049, 2004].map(String),
);
/** Wrapping at the margin, a cursor that is seen; `CSI ? N l` switches them off. */
const USUALLY_ON = new Set([7, 25].map(String));
const ESCAPE = 0x1b;
/** Longer ones switch nothing that is known here. */
const MAX_SEQUENCE_BYTES = 64;

const SEQUENCES = /\x1b(?:([=>c])|\[([?<>!]?)([0-9;]{0,40})([@-~]))/g;
const CUT_SEQUENCE = /^\x1b(?:\[[?<>!]?[0-9;]*)?$/;

export class ScreenModes {
  /** Private modes that are not as usual. */
  readonly #changed = new Set<string>();
  #hasKeypad = false;
  #hasOtherKeys = false;
  /** How many keyboard protocols lie on the terminal's stack of them. */
  #keyboards = 0;
  /** The start of a sequence that the last piece ended in. */
  #cut = '';

  /** The next piece of output. */
  see(bytes: Buffer): void {
    const start = this.#cut === '' ? bytes.indexOf(ESCAPE) : 0;
    if (start < 0) return;
    const text = this.#cut + bytes.toString('latin1', start);
    for (const [, single, prefix = '', parameters = '', final] of text.matchAll(SEQUENCES))
      if (single === undefined) this.#control(`${prefix}${final ?? ''}`, parameters);
      else if (single === 'c') this.#reset();
      else this.#hasKeypad = single === '=';
    const last = text.slice(Math.max(text.lastIndexOf('\x1b'), 0));
    this.#cut = last.length < MAX_SEQUENCE_BYTES && CUT_SEQUENCE.test(last) ? last : '';
  }

  /** What brings the terminal back to what is usual; empty where it is that. Asked once. */
  undo(): string {
    const parts = [...this.#changed].map(
      (mode) => `\x1b[?${mode}${USUALLY_ON.has(mode) ? 'h' : 'l'}`,
    );
    if (this.#hasKeypad) parts.push('\x1b>');
    if (this.#hasOtherKeys) parts.push('\x1b[>4m');
    if (this.#keyboards > 0) parts.push(`\x1b[<${this.#keyboards}u`);
    this.#reset();
    // Whoever did not get to that has hardly got to putting the colours back.
    return parts.length === 0 ? '' : `\x1b[m${parts.join('')}`;
  }

  #control(kind: string, parameters: string): void {
    switch (kind) {
      case '?h':
      case '?l':
        for (const mode of parameters.split(';')) this.#switch(mode, kind === '?h');
        break;
      case '>m': {
        const [what, value = ''] = parameters.split(';');
        if (what === '4') this.#hasOtherKeys = Number(value) > 0;
        break;
      }
      case '>u':
        this.#keyboards += 1;
        break;
      case '<u':
        this.#keyboards = Math.max(0, this.#keyboards - (Number(parameters) || 1));
        break;
      case '!p':
        this.#reset();
        break;
    }
  }

  #switch(mode: string, isOn: boolean): void {
    if (!USUALLY_OFF.has(mode) && !USUALLY_ON.has(mode)) return;
    if (isOn === USUALLY_ON.has(mode)) this.#changed.delete(mode);
    else this.#changed.add(mode);
  }

  #reset(): void {
    this.#changed.clear();
    this.#hasKeypad = false;
    this.#hasOtherKeys = false;
    this.#keyboards = 0;
  }
}
