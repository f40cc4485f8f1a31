/** `\p{Cs}` matches only surrogates that are not one half of a pair. */
const NOT_EXACT = /[\0\p{Cs}]/u;

/** True for text that a system call carries to a command exactly: valid Unicode without NUL. */
export function isExactText(text: string): boolean {
  return !NOT_EXACT.test(text);
}
