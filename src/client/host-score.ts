/** Which of several hosts `--host auto` takes. A pure rule: README tells it in the same words. */

/** What a host that is up offers. */
export interface HostOffer {
  readonly name: string;
  readonly fingerprint: string;
  /** It has the workspace of this project: only what changed would have to be sent. */
  readonly isWarm: boolean;
  /** How many of its processors have nothing to do. */
  readonly freeCores: number;
  readonly rttMs: number;
}

export interface ChosenOffer {
  readonly offer: HostOffer;
  /** For people. */
  readonly why: string;
}

/** Whoever has less than this free makes a command wait, whatever it has already. */
const ENOUGH_CORES = 0.5;
/** To send a whole project again pays off only where the command is that much faster. */
const CLEARLY_BUSIER = 4;

/**
 * The least busy of those that are warm; where it is clearly busier than another (less than half a core free, or less
 * than a quarter of what the other has) the least busy of all. Undefined only for none.
 */
export function chooseOffer(offers: readonly HostOffer[]): ChosenOffer | undefined {
  const [best, second] = offers.toSorted(byBusyness);
  if (best === undefined) return undefined;
  const warm = offers.filter((offer) => offer.isWarm).toSorted(byBusyness)[0];
  if (second === undefined) return { offer: best, why: 'the only one that is up' };
  if (warm === undefined)
    return { offer: best, why: 'none has the files of this project, and it is the least busy' };
  if (givesWay(warm, best))
    return {
      offer: best,
      why: `${warm.name} has the files of this project, but is clearly busier`,
    };
  return { offer: warm, why: 'it has the files of this project, and is not clearly busier' };
}

function givesWay(warm: HostOffer, best: HostOffer): boolean {
  if (best.isWarm || best.freeCores < ENOUGH_CORES) return false;
  return warm.freeCores < ENOUGH_CORES || warm.freeCores * CLEARLY_BUSIER < best.freeCores;
}

/** Half a core more or less is what a reading of half a second is worth; then the nearer one, then by name. */
function byBusyness(a: HostOffer, b: HostOffer): number {
  return (
    halfCores(b) - halfCores(a) ||
    a.rttMs - b.rttMs ||
    inOrder(a.name, b.name) ||
    inOrder(a.fingerprint, b.fingerprint)
  );
}

function halfCores({ freeCores }: HostOffer): number {
  return Math.round(freeCores * 2);
}

function inOrder(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
