/** Networks that break in the midst of a run: the run goes on, and not a byte of its output is lost or doubled. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { noFirewall, noLan, noReset } from '../support/lan.js';
import { hostOn, lanScene } from '../support/lan-rig.js';
import type { LanScene } from '../support/lan-rig.js';
import type { Result, RunningRmtx } from '../support/rig.js';

const isLong = process.env['RMTX_LONG_TESTS'] === '1';
const LOST = 'rmtx: connection lost; looking for the host (the run goes on)\n';

/** A command that prints numbers, one a line, until it is told to end. */
class Counting {
  readonly running: RunningRmtx;
  readonly #stopFile: string;

  constructor({ rig, laptop, project }: LanScene) {
    this.#stopFile = path.join(rig.newDirectory('stop'), 'stop');
    const script = `n=0; while [ ! -e '${this.#stopFile}' ]; do seq $((n * 200)) $((n * 200 + 199)); n=$((n + 1)); sleep 0.01; done; echo $n > rounds`;
    this.running = project.client.start(['exec', '--', 'sh', '-c', script], {
      cwd: project.root,
      wrap: laptop.wrap,
    });
  }

  /** Resolves when more has come than there is now. */
  async goesOn(): Promise<void> {
    const before = this.running.stdoutText.length;
    while (this.running.stdoutText.length < before + 10_000) {
      const next = once(this.running.child.stdout ?? this.running.child, 'data');
      const first = await Promise.race([next, this.running.ended]);
      if ('stderr' in first) throw new Error(`ended: ${first.stderr}`);
    }
  }

  /** Ends it; every number is there once, and what it made is here. */
  async endsWell({ project }: LanScene): Promise<Result> {
    writeFileSync(this.#stopFile, '');
    const result = await this.running.ended;
    assert.equal(result.code, 0, result.stderr);
    assert.equal(project.has('rounds'), true);
    const numbers = result.text.split('\n');
    assert.equal(numbers.pop(), '');
    const wrong = numbers.findIndex((number, index) => number !== String(index));
    assert.equal(wrong, -1, `line ${wrong} is ${String(numbers[wrong])}`);
    assert.equal(numbers.length % 200, 0);
    return result;
  }
}

/** Nothing is said of a short outage; of a long one that it began, where it is not over by then, and that it is. */
function assertSaidOnce({ stderr }: Result): void {
  assert.match(
    stderr.replace(LOST, 'LOST '),
    /^(?:(?:LOST rmtx:|rmtx: the connection was lost;) connected again after [\d.]+m?s\n)?$/,
  );
}

describe(
  'in the midst of a run',
  { skip: noLan() || noFirewall() || noReset(), concurrency: 2 },
  () => {
    test('a cable that is pulled and plugged in again costs nothing', async () => {
      await using scene = await lanScene();
      const counting = new Counting(scene);
      for (const { pull, plugIn } of [...scene.machine.cables, ...scene.laptop.cables]) {
        await counting.goesOn();
        pull();
        await new Promise((resolve) => setTimeout(resolve, isLong ? 10_000 : 700));
        plugIn();
        await counting.goesOn();
      }
      assert.equal((await counting.endsWell(scene)).stderr, '');
    });

    test('a host that gets another address is found there', async () => {
      await using scene = await lanScene();
      const { machine, laptop } = scene;
      const counting = new Counting(scene);
      await counting.goesOn();
      machine.moveTo('10.77.0.77/24');
      // What the client finds out for itself within 25 seconds.
      if (!isLong) laptop.reset('10.77.0.2');
      await counting.goesOn();
      assertSaidOnce(await counting.endsWell(scene));
    });

    test('packets that are dropped both ways for a while: before it is noticed, and after', async () => {
      await using scene = await lanScene();
      const { machine, laptop } = scene;
      const counting = new Counting(scene);
      await counting.goesOn();
      machine.cutTcp();
      await new Promise((resolve) => setTimeout(resolve, 700));
      machine.allow();
      await counting.goesOn();
      machine.cutTcp();
      laptop.reset('10.77.0.2');
      await counting.running.says(/connection lost/);
      machine.allow();
      await counting.goesOn();
      const result = await counting.endsWell(scene);
      assertSaidOnce(result);
      assert.ok(result.stderr.startsWith(LOST));
    });

    test('connections that are reset, and reset again as long as they are tried', async () => {
      await using scene = await lanScene();
      const { machine } = scene;
      const counting = new Counting(scene);
      await counting.goesOn();
      machine.resetTcp();
      await counting.running.says(/connection lost/);
      machine.allow();
      await counting.goesOn();
      assertSaidOnce(await counting.endsWell(scene));
    });

    test('a host whose address another machine has got is found where it is', async () => {
      await using scene = await lanScene();
      const { rig, lan, machine, laptop } = scene;
      const counting = new Counting(scene);
      await counting.goesOn();
      machine.moveTo('10.77.0.77/24');
      await hostOn(rig, lan.machine({ ipv4: '10.77.0.2', hasIpv6: false }), 'attic');
      laptop.forgetNeighbours();
      laptop.reset('10.77.0.2');
      await counting.goesOn();
      assertSaidOnce(await counting.endsWell(scene));
    });
  },
);
