import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { reachEitherWay } from '../../../src/client/reach.js';
import { RmtxError, isRmtxError } from '../../../src/errors.js';

const lost = (message: string, hint?: string): RmtxError =>
  new RmtxError('ERR_RMTX_HOST_UNREACHABLE', message, { hint });

function untilAborted(signal: AbortSignal, ended: string[], name: string): Promise<never> {
  return new Promise((_resolve, reject) =>
    signal.addEventListener('abort', () => {
      ended.push(name);
      reject(lost(`${name} was ended`));
    }),
  );
}

describe('of the two ways to a host', () => {
  test('the other one is not tried while a connection stands, and not after it has failed', async () => {
    let tries = 0;
    const reverse = (): Promise<string> => {
      tries += 1;
      return Promise.resolve('theirs');
    };
    const slow = await reachEitherWay({
      delayMs: 5,
      direct: async (_signal, onReached) => {
        onReached();
        await new Promise((resolve) => setTimeout(resolve, 30));
        return 'ours';
      },
      reverse,
    });
    assert.deepEqual([slow, tries], ['ours', 0]);
    const refused = reachEitherWay({
      direct: (_signal, onReached) => {
        onReached();
        return Promise.reject(lost('another key'));
      },
      reverse,
    });
    await assert.rejects(refused, /^RmtxError: another key$/);
    assert.equal(tries, 0);
  });

  test('the other one is tried when the first has failed, or takes long, and ends it', async () => {
    const ended: string[] = [];
    const direct = (signal: AbortSignal): Promise<string> => untilAborted(signal, ended, 'direct');
    const won = await reachEitherWay({
      delayMs: 5,
      direct,
      reverse: () => Promise.resolve('theirs'),
    });
    assert.deepEqual([won, ended], ['theirs', ['direct']]);
    const after = await reachEitherWay({
      delayMs: 60_000,
      direct: () => Promise.reject(lost('refused')),
      reverse: () => Promise.resolve('theirs'),
    });
    assert.equal(after, 'theirs');
  });

  test('both are tried at once, unless a connection stands already', async () => {
    const ended: string[] = [];
    const both = await reachEitherWay({
      delayMs: 0,
      direct: (signal) => untilAborted(signal, ended, 'direct'),
      reverse: () => Promise.resolve('theirs'),
    });
    assert.deepEqual([both, ended], ['theirs', ['direct']]);
    // As a dial does that was begun before, and whose end the system tells of with the next events.
    const stood = await reachEitherWay({
      delayMs: 0,
      direct: async (_signal, onReached) => {
        await Promise.resolve();
        onReached();
        await new Promise((resolve) => setTimeout(resolve, 30));
        return 'ours';
      },
      reverse: () => assert.fail('was tried'),
    });
    assert.equal(stood, 'ours');
  });

  test('a connection that stands ends the other one', async () => {
    const ended: string[] = [];
    let connect: (ours: string) => void = () => undefined;
    let reach: () => void = () => undefined;
    const won = reachEitherWay({
      delayMs: 0,
      direct: (_signal, onReached) => {
        reach = onReached;
        return new Promise<string>((resolve) => (connect = resolve));
      },
      reverse: (signal) => {
        const end = untilAborted(signal, ended, 'reverse');
        reach();
        assert.deepEqual(ended, ['reverse']);
        connect('ours');
        return end;
      },
    });
    assert.equal(await won, 'ours');
  });

  test('the first one may still win', async () => {
    const ended: string[] = [];
    let connect: (ours: string) => void = () => undefined;
    const won = reachEitherWay({
      delayMs: 5,
      direct: () => new Promise<string>((resolve) => (connect = resolve)),
      reverse: (signal) => {
        connect('ours');
        return untilAborted(signal, ended, 'reverse');
      },
    });
    assert.deepEqual([await won, ended], ['ours', ['reverse']]);
  });

  test('both failures are told, unless there was nobody to ask', async () => {
    const direct = (): Promise<string> => Promise.reject(lost('no way there', 'look'));
    const both = reachEitherWay({
      direct,
      reverse: () => Promise.reject(lost('nor back', 'look on')),
    });
    await assert.rejects(
      both,
      (error) =>
        isRmtxError(error) &&
        error.message === 'no way there, and nor back' &&
        error.hint === 'look; look on; rmtx doctor finds the cause',
    );
    const one = reachEitherWay({
      direct,
      reverse: () => Promise.reject(new Error('ECONNREFUSED')),
    });
    await assert.rejects(one, (error) => isRmtxError(error) && error.message === 'no way there');
  });

  test('who gives up ends both', async () => {
    const ended: string[] = [];
    const giveUp = new AbortController();
    const gone = reachEitherWay({
      delayMs: 5,
      abortSignal: giveUp.signal,
      direct: (signal) => untilAborted(signal, ended, 'direct'),
      reverse: (signal) => {
        const end = untilAborted(signal, ended, 'reverse');
        giveUp.abort();
        return end;
      },
    });
    await assert.rejects(gone, isRmtxError);
    assert.deepEqual(ended, ['direct', 'reverse']);
  });
});
