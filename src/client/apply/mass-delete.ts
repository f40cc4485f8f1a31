/**
 * The brake on deleting much at once. A far side that lost its tree, or a command that ran in the wrong
 * directory, looks exactly like one that deleted everything on purpose; only a person can tell.
 */

/** Fewer deletions than this are everyday work (`make clean`), whatever share of the project they are. */
const ALWAYS_ALLOWED = 100;
const ALLOWED_SHARE = 0.3;
/** From this many files on, a change set that would leave none at all is stopped, too. */
const SMALLEST_WIPE = 10;

/**
 * True when a change set deletes so much that nobody should do it unasked: more than 100 files that are
 * more than 30 % of the project, or every single one of at least 10.
 */
export function isMassDelete(deletions: number, manifestFiles: number): boolean {
  if (deletions >= SMALLEST_WIPE && deletions >= manifestFiles) return true;
  return deletions > Math.max(ALWAYS_ALLOWED, manifestFiles * ALLOWED_SHARE);
}
