/**
 * `node lan-look.js COUNT PAUSE`: looks for a host that often, with so many milliseconds in between, and prints how
 * many each time took.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { findHosts } from '../../src/discovery/find-hosts.js';

async function look(count: number, pauseMs: number): Promise<void> {
  for (let done = 0; done < count; done++) {
    const startedAt = performance.now();
    const found = await findHosts({ service: 'rmtx', timeoutMs: 5000, onHost: () => 'enough' });
    process.stdout.write(`${found.length === 1 ? performance.now() - startedAt : Infinity}\n`);
    await delay(pauseMs);
  }
}

void look(Number(process.argv[2]), Number(process.argv[3]));
