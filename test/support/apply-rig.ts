/**
 * A project on disk, the manifest that a run started from, and what the run made of it, for the tests of
 * sync-back. Trees are plain records: path → content, or what stands for a directory or a link.
 */
import {
  chmodSync,
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { applyChangeSet } from '../../src/client/apply.js';
import type { ApplyOptions, ApplyReport } from '../../src/client/apply.js';
import { hashBytes, toDigest } from '../../src/store/digest.js';
import { EntryTableBuilder } from '../../src/sync/entry-table-builder.js';
import type { EntryTable } from '../../src/sync/entry-table.js';
import { comparePaths, parentOf } from '../../src/sync/entry.js';
import type { Entry, ManifestChange, WorkspacePath } from '../../src/sync/entry.js';
import { NO_RULES } from '../../src/sync/rule-sources.js';
import type { RuleSources } from '../../src/sync/rule-sources.js';
import { SyncRules } from '../../src/sync/rules.js';
import { signatureOf } from '../../src/sync/stat-signature.js';
import { diffTables } from '../../src/sync/table-changes.js';
import { nowUs, toUtimesSeconds } from '../../src/util/microseconds.js';
import { pathFromBytes, pathToBytes, toFsPath } from '../../src/util/path-bytes.js';
import { AnchoredRoot } from '../../src/util/safe-path.js';

export interface FileNode {
  readonly content: string | Buffer;
  readonly mode?: number;
  readonly mtimeUs?: number;
}
export type Node =
  string | FileNode | { readonly link: string } | { readonly directoryMode: number };
export type Tree = Readonly<Record<string, Node>>;

/** Long ago, so that no signature of a test's file is racy because of its mtime. */
export const OLD_US = 1_600_000_000_000_000;

export interface Rig extends Disposable {
  readonly home: string;
  readonly project: string;
  readonly stateDirectory: string;
}

export interface RigOptions {
  /** Where the project is made; another device than the home's for the tests of that. */
  readonly projectParent?: string;
}

export function makeRig(tree: Tree, options: RigOptions = {}): Rig {
  const top = mkdtempSync(path.join(os.tmpdir(), 'rmtx-apply-'));
  const projectTop = options.projectParent
    ? mkdtempSync(path.join(options.projectParent, 'rmtx-apply-'))
    : top;
  const project = path.join(projectTop, 'project');
  const home = path.join(top, 'home');
  const stateDirectory = path.join(home, 'projects', 'key');
  mkdirSync(stateDirectory, { recursive: true });
  mkdirSync(project);
  writeTree(project, tree);
  return {
    home,
    project,
    stateDirectory,
    [Symbol.dispose](): void {
      for (const directory of [top, projectTop]) {
        openUp(directory);
        rmSync(directory, { recursive: true, force: true });
      }
    },
  };
}

/** Makes or replaces; parents as needed. */
export function writeTree(project: string, tree: Tree): void {
  for (const name of Object.keys(tree).sort(comparePaths)) writeNode(project, name, tree[name]);
  // A directory's mode last: a read-only one would keep its own content out.
  for (const [name, node] of Object.entries(tree))
    if (typeof node === 'object' && 'directoryMode' in node)
      chmodSync(diskPath(project, name), node.directoryMode);
}

export function remove(project: string, ...names: string[]): void {
  for (const name of names) rmSync(diskPath(project, name), { recursive: true });
}

function writeNode(project: string, name: string, node: Node | undefined): void {
  if (node === undefined) return;
  const file = diskPath(project, name);
  mkdirSync(diskPath(project, parentOf(name)), { recursive: true });
  if (typeof node === 'object' && 'directoryMode' in node) {
    mkdirSync(file, { recursive: true });
    return;
  }
  rmSync(file, { force: true, recursive: true });
  if (typeof node === 'object' && 'link' in node) {
    symlinkSync(toFsPath(node.link), file);
    return;
  }
  const { content, mode = 0o644, mtimeUs = OLD_US } = fileNode(node);
  writeFileSync(file, content);
  chmodSync(file, mode);
  utimesSync(file, toUtimesSeconds(mtimeUs), toUtimesSeconds(mtimeUs));
}

function fileNode(node: string | FileNode): FileNode {
  return typeof node === 'string' ? { content: node } : node;
}

function diskPath(project: string, name: string): string | Buffer {
  const file = path.join(project, name);
  return typeof toFsPath(name) === 'string' ? file : pathToBytes(file);
}

/** Everything in the project, with modes; times only of files that have one of their own. */
export function readTree(project: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of walk(project)) found[name] = describeNode(project, name);
  return found;
}

/** Only what files hold and links point at. */
export function readContents(project: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of walk(project)) {
    const stats = lstatSync(diskPath(project, name));
    if (stats.isFile()) found[name] = readFileSync(diskPath(project, name), 'latin1');
    if (stats.isSymbolicLink()) found[name] = `-> ${readlinkSync(diskPath(project, name))}`;
  }
  return found;
}

function describeNode(project: string, name: string): string {
  const file = diskPath(project, name);
  const stats = lstatSync(file);
  const mode = (stats.mode & 0o777).toString(8);
  if (stats.isDirectory()) return `directory ${mode}`;
  if (stats.isSymbolicLink()) return `-> ${readlinkSync(file)}`;
  return `${mode} ${Math.floor(stats.mtimeMs)} ${readFileSync(file, 'latin1')}`;
}

/** Paths in walk order. */
export function walk(project: string, directory = ''): string[] {
  const names = readdirSync(diskPath(project, directory), { encoding: 'buffer' }).map(
    pathFromBytes,
  );
  return names.sort(comparePaths).flatMap((name) => {
    const child = directory === '' ? name : `${directory}/${name}`;
    const isDirectory = lstatSync(diskPath(project, child)).isDirectory();
    return isDirectory ? [child, ...walk(project, child)] : [child];
  });
}

/** What a scan of all of it would give, but never racy: the tests change files right after it. */
export function scanTable(
  project: string,
  isWanted: (name: string) => boolean = () => true,
): EntryTable {
  const builder = new EntryTableBuilder();
  for (const name of walk(project)) {
    if (!isWanted(name)) continue;
    const file = diskPath(project, name);
    const stats = lstatSync(file);
    const entry = entryOf(
      name,
      stats.isDirectory() ? { directoryMode: stats.mode & 0o777 } : nodeAt(file),
    );
    builder.add(entry, { ...signatureOf(stats, nowUs()), isRacy: false });
  }
  return builder.build();
}

function nodeAt(file: string | Buffer): Node {
  const stats = lstatSync(file);
  if (stats.isSymbolicLink()) return { link: readlinkSync(file) };
  return {
    content: readFileSync(file),
    mode: stats.mode & 0o777,
    mtimeUs: Math.floor(stats.mtimeMs * 1000),
  };
}

export function entryOf(name: string, node: Node): Entry {
  const entryPath = name as WorkspacePath;
  if (typeof node === 'object' && 'link' in node)
    return { kind: 'symlink', path: entryPath, target: node.link };
  if (typeof node === 'object' && 'directoryMode' in node)
    return { kind: 'directory', path: entryPath, mode: node.directoryMode };
  const { content, mode = 0o644, mtimeUs = OLD_US } = fileNode(node);
  const bytes = Buffer.from(content);
  const digest = toDigest(hashBytes(bytes));
  return { kind: 'file', path: entryPath, mode, size: bytes.length, mtimeUs, digest };
}

/** A manifest of this tree; parent directories are added with mode 755. */
export function tableOf(tree: Tree): EntryTable {
  const whole = new Map<string, Node>(Object.entries(tree));
  for (const name of Object.keys(tree))
    for (let above = parentOf(name); above !== ''; above = parentOf(above))
      if (!whole.has(above)) whole.set(above, { directoryMode: 0o755 });
  const builder = new EntryTableBuilder();
  for (const [name, node] of [...whole].sort(([a], [b]) => comparePaths(a, b)))
    builder.add(entryOf(name, node));
  return builder.build();
}

/** What a run that left `tree` where `base` was would send. */
export function changesTo(base: EntryTable, tree: Tree): ManifestChange[] {
  return [...diffTables(base, tableOf(tree))];
}

/** Serves the contents of these trees, large ones through a file as the receiver does. */
export function fetchFrom(...trees: Tree[]): ApplyOptions['fetch'] {
  const blobs = new Map<string, Buffer>();
  for (const tree of trees)
    for (const node of Object.values(tree)) {
      if (typeof node === 'object' && !('content' in node)) continue;
      const bytes = Buffer.from(fileNode(node).content);
      blobs.set(toDigest(hashBytes(bytes)), bytes);
    }
  return (wanted, sink) => {
    for (const { digest, size } of wanted) {
      const bytes = blobs.get(digest);
      if (bytes === undefined) {
        sink.gone(digest);
      } else if (size < 4 * 1024 * 1024) {
        sink.small(digest, bytes);
      } else {
        const { fd, path: file } = sink.createLarge(digest, size);
        writeSync(fd, bytes, 0, bytes.length, 0);
        closeSync(fd);
        sink.large(digest, file);
      }
    }
    return Promise.resolve();
  };
}

export interface ApplyRequest {
  /** What the run left. */
  readonly theirs: Tree;
  /** What it started from; by default what is in the project now. */
  readonly table?: EntryTable;
  readonly rules?: RuleSources;
  readonly runId?: string;
  readonly allowMassDelete?: boolean;
  readonly changes?: readonly ManifestChange[];
  readonly fetch?: ApplyOptions['fetch'];
}

export async function applyTree(rig: Rig, request: ApplyRequest): Promise<ApplyReport> {
  const table = request.table ?? scanTable(rig.project);
  using root = AnchoredRoot.open(rig.project);
  return await applyChangeSet({
    root,
    clientHome: rig.home,
    stateDirectory: rig.stateDirectory,
    runId: request.runId ?? 'r1',
    table,
    rules: new SyncRules(request.rules ?? NO_RULES),
    allowMassDelete: request.allowMassDelete ?? false,
    changes: request.changes ?? changesTo(table, request.theirs),
    fetch: request.fetch ?? fetchFrom(request.theirs),
  });
}

function openUp(directory: string): void {
  const stats = lstatSync(directory, { throwIfNoEntry: false });
  if (stats?.isDirectory() !== true) return;
  chmodSync(directory, 0o700);
  for (const name of readdirSync(directory)) openUp(path.join(directory, name));
}
