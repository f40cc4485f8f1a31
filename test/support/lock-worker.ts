/**
 * `node lock-worker.js DIRECTORY ROUNDS live|die`: takes the owner lock that often, and each time counts
 * the file `counter` up in a way that two at once would spoil. `die` ends it by SIGKILL as an owner.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { OwnerLock } from '../../src/util/owner-lock.js';

async function main([directory = '', rounds = '', end = '']: string[]): Promise<void> {
  const counter = path.join(directory, 'counter');
  for (let round = 1; round <= Number(rounds); round++) {
    let lock: OwnerLock | undefined;
    while (lock === undefined) {
      lock = OwnerLock.tryAcquire(directory);
      if (lock === undefined) await setImmediate();
    }
    const count = Number(readFileSync(counter, 'utf8'));
    await setImmediate();
    writeFileSync(counter, String(count + 1));
    if (end === 'die' && round === Number(rounds)) process.kill(process.pid, 'SIGKILL');
    lock.release();
  }
}

void main(process.argv.slice(2));
