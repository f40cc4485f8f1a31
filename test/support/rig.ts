/**
 * The end-to-end rig: real hosts and clients as child processes of the real `bin/rmtx.js`, each with a
 * state directory of its own, on loopback. Everything is undone when it is disposed; when a test fails
 * it can print what every process said.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { openPairCode } from '../../src/host/administration.js';
import { removeTree } from '../../src/util/remove-tree.js';
import { leavePaired } from './paired-state.js';

const CODE_TTL_MS = 300_000;

export const BIN = path.resolve(__dirname, '../../../bin/rmtx.js');

/** A memory file system where there is one: tests make thousands of small files. */
function scratchParent(): string {
  try {
    accessSync('/dev/shm', constants.W_OK);
    return '/dev/shm';
  } catch {
    return os.tmpdir();
  }
}

export function scratchDirectory(): string {
  return mkdtempSync(path.join(scratchParent(), 'rmtx-test-'));
}

export interface Result {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
  /** stdout as text. */
  readonly text: string;
}

export interface RunProcessOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Bytes for stdin, then its end. Without: stdin is /dev/null. */
  readonly stdin?: string | Buffer;
}

/** A child of the real binary, with what it printed so far. */
export class RunningRmtx {
  readonly child: ChildProcess;
  #stdout: Buffer[] = [];
  #stderr = '';
  readonly #ended: Promise<Result>;

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.on('data', (piece: Buffer) => this.#stdout.push(piece));
    child.stderr?.on('data', (piece: Buffer) => (this.#stderr += piece.toString('utf8')));
    this.#ended = once(child, 'close').then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
      stdout: Buffer.concat(this.#stdout),
      stderr: this.#stderr,
      text: Buffer.concat(this.#stdout).toString('utf8'),
    }));
  }

  get ended(): Promise<Result> {
    return this.#ended;
  }

  get stderr(): string {
    return this.#stderr;
  }

  get stdoutText(): string {
    return Buffer.concat(this.#stdout).toString('utf8');
  }

  /** Resolves with the match as soon as what was printed on stdout or stderr has it. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.stdoutText) ?? pattern.exec(this.#stderr);
      if (match !== null) return match;
      // Without it each round would leave its listeners behind.
      const heard = new AbortController();
      const { signal } = heard;
      const next = await Promise.race([
        this.child.stdout === null ? never() : once(this.child.stdout, 'data', { signal }),
        this.child.stderr === null ? never() : once(this.child.stderr, 'data', { signal }),
        this.#ended.then(() => 'ended' as const),
      ]);
      heard.abort();
      if (next === 'ended' && !pattern.test(this.stdoutText) && !pattern.test(this.#stderr))
        throw new Error(
          `ended without saying ${String(pattern)}:\n${this.stdoutText}\n${this.#stderr}`,
        );
    }
  }
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}

export class Rig implements AsyncDisposable {
  readonly directory = scratchDirectory();
  readonly #processes = new Set<RunningRmtx>();
  #names = 0;

  /** Starts a host and waits until it listens. */
  async host(
    options: {
      readonly stateDirectory?: string;
      readonly args?: readonly string[];
      readonly name?: string;
      /** A program and its arguments that starts the host as its last arguments say. */
      readonly wrap?: readonly string[];
      readonly home?: string;
      /** Announces itself under this name; without, nobody hears of it. */
      readonly service?: string;
    } = {},
  ): Promise<RigHost> {
    const { stateDirectory = this.newDirectory('host'), name = 'box' } = options;
    const process_ = this.start(
      [
        'host',
        '--listen',
        '127.0.0.1:0',
        '--state-dir',
        stateDirectory,
        '--name',
        name,
        ...(options.service === undefined ? ['--no-discovery'] : ['--service', options.service]),
        ...(options.args ?? []),
      ],
      {
        home: options.home ?? this.newDirectory('host-home'),
        ...(options.wrap === undefined ? {} : { wrap: options.wrap }),
      },
    );
    const match = await process_.says(/listening on (\S+)/);
    const address = match[1] ?? '';
    return new RigHost({ rig: this, running: process_, name, address, stateDirectory });
  }

  /** A client identity of its own that is not paired with anything yet. */
  client(): RigClient {
    return new RigClient(this, this.newDirectory('client'));
  }

  /** A client that is as pairing with the host leaves it. */
  pairedClient(host: RigHost): RigClient {
    const client = this.client();
    client.befriend(host);
    return client;
  }

  /** A host, a paired client and a project in one call. */
  async project(files: Tree = {}, config: object = {}): Promise<RigProject> {
    const host = await this.host();
    return this.pairedClient(host).project(files, { config, host });
  }

  newDirectory(name: string): string {
    this.#names += 1;
    const directory = path.join(this.directory, `${name}-${this.#names}`);
    mkdirSync(directory, { recursive: true });
    return directory;
  }

  start(
    args: readonly string[],
    options: {
      readonly home: string;
      readonly cwd?: string;
      readonly env?: Readonly<Record<string, string>>;
      readonly stdio?: StdioOptions;
      readonly wrap?: readonly string[];
    },
  ): RunningRmtx {
    const [file = process.execPath, ...before] = options.wrap ?? [process.execPath];
    const child = spawn(
      file,
      [...before, ...(options.wrap === undefined ? [] : [process.execPath]), BIN, ...args],
      {
        cwd: options.cwd ?? this.directory,
        env: { ...scrubbedEnvironment(options.home), ...options.env },
        stdio: options.stdio ?? ['ignore', 'pipe', 'pipe'],
      },
    );
    const running = new RunningRmtx(child);
    this.#processes.add(running);
    void running.ended.then(() => this.#processes.delete(running));
    return running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const left = [...this.#processes];
    for (const { child } of left) child.kill('SIGKILL');
    await Promise.all(left.map((running) => running.ended));
    await removeTree(this.directory);
  }
}

function scrubbedEnvironment(home: string): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    HOME: home,
    RMTX_HOME: path.join(home, '.rmtx'),
    SHELL: '/bin/sh',
    LANG: 'C.UTF-8',
  };
}

export class RigHost {
  readonly name: string;
  readonly address: string;
  readonly stateDirectory: string;
  readonly running: RunningRmtx;
  readonly rig: Rig;

  constructor(options: {
    rig: Rig;
    running: RunningRmtx;
    name: string;
    address: string;
    stateDirectory: string;
  }) {
    this.rig = options.rig;
    this.name = options.name;
    this.running = options.running;
    this.address = options.address;
    this.stateDirectory = options.stateDirectory;
  }

  get port(): number {
    return Number(this.address.split(':').at(-1));
  }

  /** Runs `rmtx host SUBCOMMAND…` on this host's state directory. */
  async admin(...args: readonly string[]): Promise<Result> {
    return this.rig.start(['host', ...args, '--state-dir', this.stateDirectory], {
      home: this.rig.newDirectory('admin-home'),
    }).ended;
  }

  /** As `rmtx host pair-code` has it, without its process. */
  async pairCode(): Promise<string> {
    return (await openPairCode(this.stateDirectory, { ttlMs: CODE_TTL_MS })).code;
  }

  /** Asks it to end, as a service manager does. */
  async stop(): Promise<Result> {
    this.running.child.kill('SIGTERM');
    return this.running.ended;
  }

  async kill(): Promise<void> {
    this.running.child.kill('SIGKILL');
    await this.running.ended;
  }
}

/** Names and contents; a directory's name ends in '/', a link's value starts with '-> '. */
export type Tree = Readonly<Record<string, string | Buffer>>;

export class RigClient {
  readonly home: string;
  readonly rig: Rig;

  constructor(rig: Rig, home: string) {
    this.rig = rig;
    this.home = home;
  }

  start(
    args: readonly string[],
    options: {
      readonly cwd?: string;
      readonly env?: Readonly<Record<string, string>>;
      readonly stdio?: StdioOptions;
      readonly wrap?: readonly string[];
    } = {},
  ): RunningRmtx {
    return this.rig.start(args, { ...options, home: this.home });
  }

  async rmtx(args: readonly string[], options: RunProcessOptions = {}): Promise<Result> {
    const { stdin, ...rest } = options;
    const running = this.start(args, {
      ...rest,
      stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    if (stdin !== undefined) {
      // A command that ends early closes the pipe: that is its right.
      running.child.stdin?.on('error', () => undefined);
      running.child.stdin?.end(stdin);
    }
    return running.ended;
  }

  /** Makes both sides what pairing leaves, without a pairing: see {@link leavePaired}. */
  befriend(host: RigHost, address = host.address): void {
    leavePaired(this.home, host, address);
  }

  /** Pairs, as a person does who reads the code off the host. */
  async pair(host: RigHost): Promise<void> {
    const code = await host.pairCode();
    const result = await this.rmtx(['pair', '--host', host.address, '--code', code]);
    if (result.code !== 0)
      throw new Error(`pairing failed: ${result.stderr}\nhost: ${host.running.stderr}`);
  }

  /** A project folder with a config that names the host. */
  project(
    files: Tree,
    options: { readonly config?: object; readonly host: RigHost; readonly root?: string },
  ): RigProject {
    const root = options.root ?? this.rig.newDirectory('project');
    const config = { version: 1, host: options.host.address, ...options.config };
    writeTree(root, { '.rmtx.json': JSON.stringify(config), ...files });
    return new RigProject(this, options.host, root);
  }
}

export class RigProject {
  readonly client: RigClient;
  readonly host: RigHost;
  readonly root: string;

  constructor(client: RigClient, host: RigHost, root: string) {
    this.client = client;
    this.host = host;
    this.root = root;
  }

  /** `rmtx exec [flags] -- COMMAND…` in the project's root. */
  exec(
    command: readonly string[],
    options: RunProcessOptions & { readonly flags?: readonly string[] } = {},
  ): Promise<Result> {
    const { flags = [], ...rest } = options;
    return this.client.rmtx(['exec', ...flags, '--', ...command], { cwd: this.root, ...rest });
  }

  sh(
    script: string,
    options: RunProcessOptions & { readonly flags?: readonly string[] } = {},
  ): Promise<Result> {
    return this.exec(['sh', '-c', script], options);
  }

  path(...parts: readonly string[]): string {
    return path.join(this.root, ...parts);
  }

  write(files: Tree): void {
    writeTree(this.root, files);
  }

  has(name: string): boolean {
    return existsSync(this.path(name));
  }
}

function writeTree(root: string, files: Tree): void {
  for (const [name, content] of Object.entries(files)) {
    const target = path.join(root, name);
    if (name.endsWith('/')) {
      mkdirSync(target, { recursive: true });
    } else {
      mkdirSync(path.dirname(target), { recursive: true });
      writeFileSync(target, content);
    }
  }
}
