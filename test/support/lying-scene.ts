/** A real host that a lying client and an honest one use, and what must be true of it whatever it is told. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { answersOf } from './blob-answers.js';
import { LyingClient } from './lying-client.js';
import type { LyingRun } from './lying-client.js';
import { Rig } from './rig.js';
import type { RigHost } from './rig.js';

/** A host whose environment has something to steal, and two clients that it trusts. */
export class Scene implements AsyncDisposable {
  readonly rig: Rig;
  readonly host: RigHost;
  readonly liar: LyingClient;
  readonly other: LyingClient;
  readonly outside: string;
  readonly #atStart: string[];

  private constructor(rig: Rig, host: RigHost) {
    this.rig = rig;
    this.host = host;
    this.liar = LyingClient.paired(rig, host);
    this.other = LyingClient.paired(rig, host);
    this.outside = rig.newDirectory('outside');
    writeFileSync(path.join(this.outside, 'secret'), 'secret');
    this.#atStart = readdirSync(host.stateDirectory).sort();
  }

  static async create(args: readonly string[] = []): Promise<Scene> {
    const rig = new Rig();
    return new Scene(rig, await rig.host({ args }));
  }

  /** The host lives, serves others, and nothing was written where no client writes. */
  async assertUnhurt(name: string): Promise<void> {
    assert.equal(this.host.running.child.exitCode, null, name);
    assert.equal(await this.other.exec(['echo', 'served']), 'served\n', name);
    assert.doesNotMatch(this.host.running.stderr, /this is a bug|uncaught/i, name);
    assert.deepEqual(readdirSync(this.outside), ['secret'], name);
    assert.equal(readFileSync(path.join(this.outside, 'secret'), 'utf8'), 'secret', name);
    const state = this.host.stateDirectory;
    for (const id of readdirSync(path.join(state, 'workspaces')))
      assert.match(id, /^(lies-)?[0-9a-f]{12}$/, name);
    assert.deepEqual(readdirSync(state).sort(), this.#atStart, name);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.rig[Symbol.asyncDispose]();
  }
}

/** What a client does on its connection that it should not. */
export type Lie = (run: LyingRun, scene: Scene) => Promise<void> | void;

/** Each lie on a connection of its own; it must end with this code, and the host must be as before. */
export async function assertRefused(
  scene: Scene,
  lies: Readonly<Record<string, readonly [code: string, Lie]>>,
): Promise<void> {
  for (const [name, [code, lie]] of Object.entries(lies)) {
    const run = await scene.liar.connect();
    // A lie may be cut off in its midst.
    await Promise.race([
      Promise.resolve(lie(run, scene)).catch(() => undefined),
      run.connection.closed,
    ]);
    assert.match(await run.ending(), new RegExp(`^(ERR_RMTX_)?(${code})$`), name);
    await scene.assertUnhurt(name);
  }
}

/** Answers the host's requests with these contents, until it has all. */
export async function upload(run: LyingRun, ...contents: readonly string[]): Promise<void> {
  if ((await run.next('blobs_wanted')).files === 0) return;
  await run.serveBlobs(answersOf(contents));
}

/** Resolves when every command has ended; a run that never began leaves nothing behind. */
export async function untilNoRuns(host: RigHost): Promise<void> {
  const runs = path.join(host.stateDirectory, 'runs');
  const isOver = (id: string): boolean => {
    try {
      const { state } = JSON.parse(readFileSync(path.join(runs, id, 'record.json'), 'utf8')) as {
        state: string;
      };
      return ['waiting', 'done', 'lost'].includes(state);
    } catch {
      return false;
    }
  };
  while (!readdirSync(runs).every(isOver)) await new Promise((resolve) => setTimeout(resolve, 20));
}
