/** A connection that is cut at any byte, again and again, between a client that comes back and a real host. */
import assert from 'node:assert/strict';
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { test } from 'node:test';
import type { HostMessage } from '../../src/protocol/messages.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { randomRunId } from '../support/lying-client.js';
import { Rig } from '../support/rig.js';
import { Visit, VisitingClient } from '../support/visiting-client.js';

const RUNS = process.env['RMTX_LONG_TESTS'] === '1' ? 250 : 12;
const CUTS_A_RUN = 8;
const INPUT = randomBytes(400_000);
const LINES = 40_000;
const COMMAND = `sha256sum; seq ${LINES}; seq 1000 >&2; cat a > made; exit 5`;

const EXPECTED =
  `${createHash('sha256').update(INPUT).digest('hex')}  -\n` +
  Array.from({ length: LINES }, (_, index) => `${index + 1}\n`).join('');

type Exited = Extract<HostMessage, { type: 'exited' }>;

/** What a client knows of its run, whatever becomes of its connections. */
class Story {
  readonly id = randomRunId();
  readonly #client: VisitingClient;
  readonly #content: string;
  stdout = '';
  stderr = '';
  exited: Exited | undefined;
  result: Map<string, string | undefined> | undefined;
  #hasSaidStart = false;

  constructor(client: VisitingClient, content: string) {
    this.#client = client;
    this.#content = content;
  }

  /** One connection, to its end or to where it is cut; true where nothing is left to be said. */
  async goOn(): Promise<boolean> {
    const visit = await this.#enter();
    if (visit === undefined) return false;
    try {
      const hasEnded = await this.#stay(visit);
      if (hasEnded) await visit.run.connection.close();
      return hasEnded;
    } finally {
      await visit.cut();
      this.stdout += String(visit.stdout.bytes);
      this.stderr += String(visit.stderr.bytes);
    }
  }

  async #enter(): Promise<(Visit & { from: number; state: string }) | undefined> {
    if (this.#hasSaidStart) {
      try {
        const had = { stdout: this.stdout.length, stderr: this.stderr.length };
        const back = await this.#client.resume(this.id, had);
        assert.equal(back.attached.stdoutOffset, had.stdout);
        const { state, stdinOffset, takesStdin } = back.attached;
        return Object.assign(back, { from: takesStdin ? stdinOffset : Infinity, state });
      } catch (error) {
        if ((error as { code?: string }).code !== 'ERR_RMTX_RUN_NOT_FOUND') throw error;
        // It never began.
        assert.deepEqual([this.stdout, this.stderr], ['', '']);
        this.#hasSaidStart = false;
      }
    }
    const { run } = await this.#client.upload({ a: this.#content }, this.id);
    const visit = new Visit(run);
    this.#hasSaidStart = true;
    run.start(['sh', '-c', COMMAND], { hasStdin: true });
    try {
      await run.next('started');
    } catch (error) {
      await visit.cut();
      this.stdout += String(visit.stdout.bytes);
      this.stderr += String(visit.stderr.bytes);
      throw error;
    }
    return Object.assign(visit, { from: 0, state: 'running' });
  }

  async #stay(visit: Visit & { from: number; state: string }): Promise<boolean> {
    if (visit.from < Infinity) {
      void visit.stdin.write(INPUT.subarray(visit.from)).catch(() => undefined);
      visit.stdin.end();
    }
    const { outcome } = await visit.exited();
    assert.deepEqual(outcome, { kind: 'exited', code: 5 });
    // Its word arrived the last time, though the answer did not.
    if (visit.state === 'done') return true;
    this.result = await visit.result();
    visit.run.say({ type: 'applied' });
    await visit.run.next('acknowledged');
    return true;
  }
}

function isLoss(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === 'ERR_RMTX_CONNECTION_LOST' || code === 'ECONNRESET' || code === 'ECONNREFUSED';
}

test(`cut at any byte, a run costs and doubles nothing (${RUNS} runs, ${RUNS * CUTS_A_RUN} cuts)`, async () => {
  await using rig = new Rig();
  const host = await rig.host();
  const client = new VisitingClient(rig, host);
  await using proxy = await CuttingProxy.to(host.port);
  const { stateDirectory } = host;
  client.host = { stateDirectory, port: Number(proxy.address.split(':')[1]) };
  let whole = 0;
  for (let round = 0; round < RUNS; round++) {
    const content = `content ${round}\n`.repeat(200);
    const story = new Story(client, content);
    const cuts: number[] = [];
    for (let connection = 0; ; connection++) {
      const isCut = round > 0 && connection < CUTS_A_RUN;
      proxy.cutAfter = isCut ? randomInt(whole) : Infinity;
      cuts.push(proxy.cutAfter);
      try {
        if (await story.goOn()) break;
      } catch (error) {
        if (!isLoss(error)) throw new Error(`cut at ${cuts.join()}`, { cause: error });
      }
    }
    whole = Math.max(whole, proxy.carried);
    const name = `cut at ${cuts.join()}`;
    assert.equal(story.stdout, EXPECTED, name);
    assert.equal(story.stderr, EXPECTED.slice(68, 68 + 3893), name);
    assert.deepEqual(story.result, new Map([['made', content]]), name);
    const [listed] = await client.runs();
    assert.deepEqual([listed?.id, listed?.state], [story.id, 'done'], name);
  }
});
