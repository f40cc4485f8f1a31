import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { canMark } from '../../src/runtime/process-mark.js';
import { Rig } from '../support/rig.js';
import type { RigHost, RigProject, RunningRmtx } from '../support/rig.js';
import { processesStart, processesWith, uniqueSeconds } from '../support/processes.js';

const noProc = existsSync('/proc/self/cmdline') ? false : 'needs /proc';
const TRIES = process.env['RMTX_LONG_TESTS'] === '1' ? 10 : 1;
/** Nothing may be left after that. */
const LIMIT_MS = 3000;

const QUIET = '</dev/null >/dev/null 2>&1';
/** Each way to get away leaves one process `sleep SECONDS`. */
const WAYS: Readonly<Record<string, (sleep: string) => string>> = {
  'in the background': (sleep) => `${sleep} &`,
  'with the output held open by a group of its own': (sleep) => `set -m; ${sleep} & set +m`,
  'a double fork': (sleep) => `(${sleep} ${QUIET} &)`,
  'a session of its own': (sleep) => `setsid ${sleep} &`,
  nohup: (sleep) => `nohup ${sleep} >/dev/null 2>&1 &`,
  'deaf to what asks': (sleep) => `(trap '' TERM INT HUP QUIT; exec ${sleep}) &`,
  'a deaf daemon': (sleep) =>
    `(setsid sh -c "trap '' TERM INT HUP; cd /; ${sleep} & wait" ${QUIET} &)`,
  // Not before it is what it is to be.
  stopped: (sleep) => `${sleep} & until grep -q sleep /proc/$!/comm; do :; done; kill -STOP $!`,
  'without an environment': (sleep) => `env -i ${sleep} &`,
  'with the id of another run': (sleep) => `RMTX_RUN_ID=r0000000000000000 ${sleep} &`,
  ...(canMark()
    ? {
        'without an environment, session and parent': (sleep: string) =>
          `(env -i setsid sh -c 'cd /; ${sleep} ${QUIET} & exit' &)`,
        'started by a program that detaches it': (sleep: string) =>
          `node -e 'require("child_process").spawn("sh", ["-c", "${sleep} & exit"], {detached: true, stdio: "ignore", env: {}}).unref()'`,
      }
    : {}),
};

class Scene implements Disposable {
  readonly seconds = uniqueSeconds();
  readonly project: RigProject;
  readonly #strangers: { readonly seconds: string; readonly end: () => void }[] = [];
  #running: RunningRmtx | undefined;

  constructor(project: RigProject) {
    this.project = project;
  }

  get running(): RunningRmtx {
    if (this.#running === undefined) throw new Error('not started');
    return this.#running;
  }

  /** Resolves when everything is there that has to be gone, and some that must not. */
  async start(host: RigHost): Promise<void> {
    const ways = Object.values(WAYS).map((way) => way(`sleep ${this.seconds}`));
    const script = `${ways.join('\n')}\necho started\nread -r end\nexit 4`;
    this.#running = this.project.client.start(
      ['exec', '--host', host.address, '--', 'sh', '-c', script],
      { cwd: this.project.root, stdio: ['pipe', 'pipe', 'pipe'] },
    );
    this.#running.child.stdin?.on('error', () => undefined);
    await this.running.says(/started/);
    await processesStart(this.seconds, Object.keys(WAYS).length);
    for (const cwd of ['/', this.#workspaceOf(host)]) this.#strangers.push(startStranger(cwd));
    for (const { seconds } of this.#strangers) await processesStart(seconds, 1);
  }

  async assertNothingLeft(): Promise<void> {
    const deadline = performance.now() + LIMIT_MS;
    while (processesWith(this.seconds).length > 0 && performance.now() < deadline) await delay(20);
    assert.deepEqual(processesWith(this.seconds), []);
    for (const { seconds } of this.#strangers)
      assert.equal(processesWith(seconds).length, 1, 'a process that is not of the run was ended');
  }

  [Symbol.dispose](): void {
    for (const stranger of this.#strangers) stranger.end();
    for (const pid of processesWith(this.seconds)) process.kill(pid, 'SIGKILL');
  }

  #workspaceOf(host: RigHost): string {
    const contexts = path.join(host.stateDirectory, 'workspaces');
    const [context = ''] = readdirSync(contexts);
    return path.join(contexts, context, readdirSync(path.join(contexts, context))[0] ?? '');
  }
}

/** Somebody's process on the host that began during the run, maybe in its workspace. */
function startStranger(cwd: string): { seconds: string; end: () => void } {
  const seconds = uniqueSeconds();
  const child = spawn('sleep', [seconds], { cwd, stdio: 'ignore', detached: true, env: {} });
  return { seconds, end: () => child.kill('SIGKILL') };
}

describe(
  `of what a command leaves behind in ${Object.keys(WAYS).length} ways nothing is left`,
  {
    skip: noProc,
  },
  () => {
    const rig = new Rig();
    let project: RigProject;
    let host: RigHost;
    before(async () => {
      project = await rig.project();
      host = project.host;
    });
    after(() => rig[Symbol.asyncDispose]());

    const endings: Record<string, (scene: Scene) => Promise<void>> = {
      'when the command has ended': async ({ running }) => {
        running.child.stdin?.end('end\n');
        assert.equal((await running.ended).code, 4, running.stderr);
      },
      'after Ctrl-C': async ({ running }) => {
        running.child.kill('SIGINT');
        assert.equal((await running.ended).code, 130, running.stderr);
      },
      'after Ctrl-C twice': async ({ running }) => {
        running.child.kill('SIGINT');
        await running.says(/asking the command/);
        running.child.kill('SIGINT');
        assert.equal((await running.ended).code, 130, running.stderr);
      },
      'when the client was killed and the host stops': async ({ running }) => {
        running.child.kill('SIGKILL');
        await running.ended;
        assert.equal((await host.stop()).code, 0);
        host = await rig.host({ stateDirectory: host.stateDirectory });
      },
      'when the host was killed and starts again': async ({ running }) => {
        await host.kill();
        host = await rig.host({ stateDirectory: host.stateDirectory });
        running.child.kill('SIGKILL');
        await running.ended;
      },
    };
    for (const [when, end] of Object.entries(endings))
      test(`${when}, and nobody else is ended (${TRIES} tries)`, async () => {
        for (let tries = 0; tries < TRIES; tries += 1) {
          using scene = new Scene(project);
          await scene.start(host);
          await end(scene);
          await scene.assertNothingLeft();
        }
      });
  },
);
