/** What single values of a config must be. Each function says what is wrong, or undefined. */
import { LONGEST_WAIT_MS, formatDuration, parseDuration } from '../util/units.js';

const MAX_NAME_LENGTH = 100;
const CONTROL = /\p{Cc}/u;

export function contextNameComplaint(name: string): string | undefined {
  if (name.trim() === '') return 'must not be empty';
  if (name !== name.trim()) return 'must not begin or end with a blank';
  if (CONTROL.test(name)) return 'must not hold control characters';
  if (name.length > MAX_NAME_LENGTH) return `is longer than ${MAX_NAME_LENGTH} characters`;
  return undefined;
}

/**
 * `ADDR[:PORT]`, a paired host's name, or `ssh:NAME`. Only what is surely wrong is refused: the address
 * is read where it is dialled. A leading "-" is refused because a config is often somebody else's file,
 * and ssh would take such a name for an option that runs a command.
 */
export function hostComplaint(host: string): string | undefined {
  if (host === '') return 'must not be empty';
  if (/\s/.test(host) || CONTROL.test(host)) return 'must not hold blanks or control characters';
  const name = host.startsWith('ssh:') ? host.slice('ssh:'.length) : host;
  if (name === '') return 'names no host after "ssh:"';
  if (name.startsWith('-')) return 'must not begin with "-"';
  const port = name === host ? /^(?:[^:]*|\[[^\]]*\]):([^:]*)$/.exec(host)?.[1] : undefined;
  if (
    port !== undefined &&
    !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535)
  )
    return 'must have a port from 1 to 65535 after the ":"';
  return undefined;
}

export function fingerprintComplaint(fingerprint: string): string | undefined {
  return /^sha256:[0-9a-f]{64}$/i.test(fingerprint)
    ? undefined
    : 'must be "sha256:" and 64 hex digits, as rmtx host pair-code shows it';
}

/** One DNS label (RFC 1035, 2.3.4), because the name is announced on the network. */
export function serviceComplaint(service: string): string | undefined {
  return /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i.test(service)
    ? undefined
    : 'must be 1 to 63 letters, digits and "-", no "-" at either end';
}

export function timeoutComplaint(timeout: string): string | undefined {
  const milliseconds = parseDuration(timeout);
  if (milliseconds === undefined) return 'is not a duration such as 750ms, 2s or 1m';
  if (milliseconds > LONGEST_WAIT_MS)
    return `must not be more than ${formatDuration(LONGEST_WAIT_MS)}`;
  return milliseconds > 0 ? undefined : 'must be more than zero';
}

export function nonEmptyComplaint(value: string): string | undefined {
  if (value.trim() === '') return 'must not be empty';
  return value.includes('\0') ? 'must not hold a NUL character' : undefined;
}

/** An image reference, loosely: the registry's own rules are checked where it is pulled. */
export function imageComplaint(image: string): string | undefined {
  if (image === '') return 'must not be empty';
  if (/\s/.test(image) || CONTROL.test(image)) return 'must not hold blanks or control characters';
  return image.startsWith('-') ? 'must not begin with "-"' : undefined;
}

/** A path inside the runtime: absolute, no "..", not "/" itself, which would hide the whole image. */
export function runtimePathComplaint(value: string): string | undefined {
  if (value.includes('\0')) return 'must not hold a NUL character';
  if (!value.startsWith('/')) return 'must be an absolute path inside the runtime';
  const parts = value.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) return 'must not hold ".."';
  return parts.length === 0 ? 'must not be "/": it would hide the whole image' : undefined;
}

export function volumeNameComplaint(name: string): string | undefined {
  if (name.trim() === '') return 'must not be empty';
  if (name === '.' || name === '..') return 'is not a name';
  if (/[/\\]/.test(name) || CONTROL.test(name))
    return 'must not hold slashes or control characters';
  return name.length > MAX_NAME_LENGTH ? `is longer than ${MAX_NAME_LENGTH} characters` : undefined;
}

/** A file of the project whose content decides whether set-up commands run again. */
export function contextInputComplaint(value: string): string | undefined {
  if (value === '') return 'must not be empty';
  if (value.includes('\0')) return 'must not hold a NUL character';
  if (value.startsWith('/')) return 'must be relative to the project root';
  return value.split('/').includes('..') ? 'must not leave the project root with ".."' : undefined;
}
