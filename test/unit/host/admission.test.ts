import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { Admission } from '../../../src/host/admission.js';

class FakeSocket extends EventEmitter {
  readonly remoteAddress: string;
  isDestroyed = false;

  constructor(remoteAddress: string) {
    super();
    this.remoteAddress = remoteAddress;
  }

  destroy(): void {
    this.isDestroyed = true;
    this.emit('close');
  }
}

function arrive(admission: Admission, address: string): FakeSocket {
  const socket = new FakeSocket(address);
  admission.watch(socket as unknown as Socket);
  return socket;
}

test('a flood from one source pushes out itself and not a neighbour', () => {
  const admission = new Admission({ maxPending: 10 });
  const neighbour = arrive(admission, '10.0.0.2');
  const flood = Array.from({ length: 50 }, () => arrive(admission, '10.0.0.66'));
  assert.equal(neighbour.isDestroyed, false);
  assert.equal(admission.pendingCount, 10);
  assert.equal(flood.filter((socket) => !socket.isDestroyed).length, 9);
  assert.equal(flood.at(-1)?.isDestroyed, false);
});

test('all addresses of one /64 are one source', () => {
  const admission = new Admission({ maxPending: 4 });
  const neighbour = arrive(admission, '2001:db8:1:2::1');
  for (let index = 0; index < 20; index++) arrive(admission, `2001:db8:9:9::${index.toString(16)}`);
  assert.equal(neighbour.isDestroyed, false);
});

test('who was admitted has no deadline and does not count', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const admission = new Admission({ deadlineMs: 1000 });
  const admitted = arrive(admission, '10.0.0.1');
  const silent = arrive(admission, '10.0.0.2');
  admission.admit(admitted as unknown as Socket);
  t.mock.timers.tick(1001);
  assert.equal(admitted.isDestroyed, false);
  assert.equal(silent.isDestroyed, true);
  assert.equal(admission.pendingCount, 0);
});
