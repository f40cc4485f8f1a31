/**
 * Who is with a run: at most one visitor, who takes its output and its result. A new one takes the place
 * of the old at once, because the old one's connection may be dead without anybody knowing. What is to
 * happen when nobody has been there for a time is asked for here.
 */
export interface Visitor {
  /** Somebody else has come in its place. */
  dismiss(): void;
  /** Something to know that changes nothing. */
  notice(code: string, message: string): void;
}

interface Absence {
  readonly ms: number;
  readonly act: () => void;
  timer: NodeJS.Timeout | undefined;
}

/** More than a timer can wait; who wants that long means for ever. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class Visitors {
  #current: Visitor | undefined;
  /** On the clock of `performance.now`; undefined while somebody is there. */
  #leftAt: number | undefined = performance.now();
  readonly #absences = new Set<Absence>();

  get isAnyoneThere(): boolean {
    return this.#current !== undefined;
  }

  isCurrent(visitor: Visitor): boolean {
    return this.#current === visitor;
  }

  arrive(visitor: Visitor): void {
    const before = this.#current;
    this.#current = visitor;
    this.#leftAt = undefined;
    for (const absence of this.#absences) clearTimeout(absence.timer);
    if (before !== visitor) before?.dismiss();
  }

  /** Sends the visitor away, to be followed by nobody. */
  dismiss(): void {
    const before = this.#current;
    if (before === undefined) return;
    this.leave(before);
    before.dismiss();
  }

  /** A visitor whose place was taken has left already. */
  leave(visitor: Visitor): void {
    if (this.#current !== visitor) return;
    this.#current = undefined;
    this.#leftAt = performance.now();
    for (const absence of this.#absences) this.#arm(absence);
  }

  notice(code: string, message: string): void {
    this.#current?.notice(code, message);
  }

  /**
   * Acts once when nobody has been there for so long at a stretch; what has passed of it counts. Disposed
   * it never acts again.
   */
  whenAwayFor(ms: number, act: () => void): Disposable {
    const absence: Absence = { ms, act, timer: undefined };
    this.#absences.add(absence);
    if (this.#leftAt !== undefined) this.#arm(absence);
    return {
      [Symbol.dispose]: () => {
        clearTimeout(absence.timer);
        this.#absences.delete(absence);
      },
    };
  }

  #arm(absence: Absence): void {
    if (absence.ms > MAX_TIMER_MS || this.#leftAt === undefined) return;
    const leftMs = Math.max(0, absence.ms - (performance.now() - this.#leftAt));
    absence.timer = setTimeout(() => {
      this.#absences.delete(absence);
      absence.act();
    }, leftMs);
  }
}
