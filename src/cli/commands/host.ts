import os from 'node:os';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { DEFAULT_DISCOVERY } from '../../config/resolved-config.js';
import { startHost } from '../../host/server.js';
import { localAddresses } from '../../util/local-addresses.js';
import { printable } from '../../util/printable.js';
import type { Invocation } from '../arguments.js';
import { DEFAULT_LISTEN, DEFAULT_PAIRING_TTL_MS, stateDirectoryOf } from '../host-settings.js';
import { EXIT_INTERRUPTED } from '../exit-code.js';
import { dialableAddresses, firstPairingLines } from '../report/host-text.js';
import { serviceOf } from '../service-flag.js';

/**
 * V8 counts the 16 KiB of each TLS record that it hands out as growth of the heap, though they are dropped at
 * once. With a heap of 8 MB it then collects all garbage every 22 MB that a client sends: a quarter of the
 * host's time in an upload of 1 GiB. So the heap may grow to five times what is in use before it does.
 */
const HEAP_GROWTH = '--heap-growing-percent=400';

/** Serves until it is told to stop. stdout gets the one line that says where; logs go to stderr. */
export async function run({ flags }: Invocation): Promise<number> {
  const say = (line: string): void => {
    process.stderr.write(`rmtx: ${line}\n`);
  };
  const warn = flags.has('quiet') ? () => undefined : (line: string) => say(`warning: ${line}`);
  setFlagsFromString(HEAP_GROWTH);
  // Before the start, so that a signal in its midst is not lost.
  const stopAsked = watchSignals();
  const service = serviceOf(flags, DEFAULT_DISCOVERY.service);
  const stateDirectory = path.resolve(stateDirectoryOf(flags));
  // Node starts no thread in a directory that is gone, and where it was started may well be removed one day.
  process.chdir('/');
  const host = await startHost({
    listen: flags.text('listen') ?? DEFAULT_LISTEN,
    stateDirectory,
    name: flags.text('name') ?? os.hostname(),
    service: flags.has('no-discovery') ? undefined : service,
    keepsAwake: !flags.has('no-keep-awake'),
    log: flags.has('quiet') ? () => undefined : (line) => say(printable(line)),
  });
  process.stdout.write(`listening on ${host.addresses.join(' and ')}\n`);
  if (process.getuid?.() === 0)
    warn('running as root: every paired client can do anything on this machine');
  if (host.isPairingOpen && !flags.has('quiet'))
    say('pairing is open, with the code that rmtx host pair-code printed');
  else if (process.stderr.isTTY && !host.hasClients) {
    const { code, expiresAt } = await host.openPairingWindow({ ttlMs: DEFAULT_PAIRING_TTL_MS });
    const lines = firstPairingLines({
      code,
      fingerprint: host.fingerprint,
      remainingMs: expiresAt.getTime() - Date.now(),
      addresses: dialableAddresses(host.addresses, localAddresses()),
    });
    for (const line of lines) say(line);
  }
  await stopAsked;
  if (!flags.has('quiet')) say('stopping');
  await host.stop();
  return 0;
}

/**
 * Resolves when somebody asks the host to stop. SIGINT again ends the process at once: whoever presses
 * Ctrl-C twice has waited enough, and the next start cleans up. Without a terminal SIGHUP is ignored:
 * Node takes away the `nohup` that would have done so.
 */
function watchSignals(): Promise<void> {
  const hasTerminal = process.stdout.isTTY || process.stderr.isTTY;
  return new Promise((resolve) => {
    let hasAsked = false;
    process.on('SIGINT', () => {
      if (hasAsked) process.exit(EXIT_INTERRUPTED);
      hasAsked = true;
      resolve();
    });
    process.on('SIGTERM', () => {
      hasAsked = true;
      resolve();
    });
    process.on('SIGHUP', () => {
      if (hasTerminal) resolve();
    });
  });
}
