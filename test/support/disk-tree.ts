/** Trees on disk and in memory, plain and slow: what the code under test is compared with. */
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import type { Stats } from 'node:fs';
import { systemErrorCode } from '../../src/errors.js';
import { hashBytes, toDigest } from '../../src/store/digest.js';
import { comparePaths, isWithin, parentOf } from '../../src/sync/entry.js';
import type { Entry, WorkspacePath } from '../../src/sync/entry.js';
import { mtimeUsOf, toUtimesSeconds } from '../../src/util/microseconds.js';
import { pathFromBytes, toFsPath } from '../../src/util/path-bytes.js';

export type Node =
  | {
      readonly kind: 'file';
      readonly bytes: string;
      readonly mode: number;
      readonly mtimeUs: number;
      readonly ino?: number;
      readonly nlink?: number;
    }
  | { readonly kind: 'directory'; readonly mode: number }
  | { readonly kind: 'symlink'; readonly target: string };

/** By path, in no order. */
export type Tree = Map<string, Node>;

/** Something done to a tree, by a person at the client or a command on the host. */
export type TreeOperation =
  | { readonly what: 'write'; readonly path: string; readonly bytes: string; readonly mode: number }
  /** The same length and time, other bytes: only the ctime tells. */
  | { readonly what: 'overwrite'; readonly path: string }
  | { readonly what: 'remove'; readonly path: string }
  | { readonly what: 'mkdir'; readonly path: string; readonly mode: number }
  | { readonly what: 'symlink'; readonly path: string; readonly target: string }
  | { readonly what: 'chmod'; readonly path: string; readonly mode: number }
  | { readonly what: 'touch'; readonly path: string; readonly mtimeUs: number }
  | { readonly what: 'rename'; readonly path: string; readonly to: string }
  | { readonly what: 'link'; readonly path: string; readonly to: string };

export function entriesOfTree(tree: Tree): Entry[] {
  return [...tree]
    .map(([path, node]) => toEntry(path as WorkspacePath, node))
    .sort((a, b) => comparePaths(a.path, b.path));
}

function toEntry(path: WorkspacePath, node: Node): Entry {
  if (node.kind === 'directory') return { kind: 'directory', path, mode: node.mode };
  if (node.kind === 'symlink') return { kind: 'symlink', path, target: node.target };
  const bytes = Buffer.from(node.bytes);
  const digest = toDigest(hashBytes(bytes));
  return { kind: 'file', path, mode: node.mode, size: bytes.length, mtimeUs: node.mtimeUs, digest };
}

/** All that is in a directory, with inodes. */
export function readTree(root: string): Tree {
  const tree: Tree = new Map();
  const visit = (directory: string): void => {
    for (const name of readdirSync(toFsPath(`${root}/${directory}`), { encoding: 'buffer' })) {
      const path = directory + pathFromBytes(name);
      const place = toFsPath(`${root}/${path}`);
      const stats = lstatSync(place);
      const mode = stats.mode & 0o777;
      if (stats.isSymbolicLink())
        tree.set(path, {
          kind: 'symlink',
          target: pathFromBytes(readlinkSync(place, { encoding: 'buffer' })),
        });
      else if (stats.isDirectory()) tree.set(path, { kind: 'directory', mode });
      else if (stats.isFile())
        tree.set(path, {
          kind: 'file',
          bytes: readFileSync(place, 'utf8'),
          mode,
          mtimeUs: mtimeUsOf(stats),
          ino: stats.ino,
          nlink: stats.nlink,
        });
      if (stats.isDirectory()) visit(`${path}/`);
    }
  };
  visit('');
  return tree;
}

/** Does it on disk. Makes the directories it needs; what cannot be done is left out. */
export function operateOnDisk(root: string, operation: TreeOperation): void {
  const at = (path: string): string | Buffer => toFsPath(`${root}/${path}`);
  const stats = isReal(root, operation.path) ? look(root, operation.path) : undefined;
  switch (operation.what) {
    case 'write':
      clearWay(root, operation.path);
      writeFileSync(at(operation.path), operation.bytes);
      chmodSync(at(operation.path), operation.mode);
      return;
    case 'overwrite': {
      if (stats?.isFile() !== true) return;
      const bytes = readFileSync(at(operation.path));
      writeFileSync(
        at(operation.path),
        bytes.map((byte) => byte ^ 1),
      );
      utimesSync(
        at(operation.path),
        toUtimesSeconds(mtimeUsOf(stats)),
        toUtimesSeconds(mtimeUsOf(stats)),
      );
      return;
    }
    case 'remove':
      if (stats !== undefined) removeAt(root, operation.path);
      return;
    case 'mkdir':
      clearWay(root, operation.path);
      mkdirSync(at(operation.path));
      chmodSync(at(operation.path), operation.mode);
      return;
    case 'symlink':
      clearWay(root, operation.path);
      symlinkSync(toFsPath(operation.target), at(operation.path));
      return;
    case 'chmod':
      if (stats !== undefined && !stats.isSymbolicLink())
        chmodSync(at(operation.path), operation.mode);
      return;
    case 'touch': {
      const seconds = toUtimesSeconds(operation.mtimeUs);
      if (stats?.isFile() === true) utimesSync(at(operation.path), seconds, seconds);
      return;
    }
    case 'rename':
    case 'link': {
      const isNested =
        isWithin(operation.to, operation.path) || isWithin(operation.path, operation.to);
      if (stats === undefined || isNested) return;
      clearWay(root, operation.to);
      if (look(root, operation.path) === undefined) return;
      if (operation.what === 'rename') renameSync(at(operation.path), at(operation.to));
      else if (stats.isFile()) linkSync(at(operation.path), at(operation.to));
    }
  }
}

/** Does it in memory, with the same result. `nowUs` is the time of what is written. */
export function operateOnTree(tree: Tree, operation: TreeOperation, nowUs: number): void {
  const node = tree.get(operation.path);
  const put = (path: string, made: Node): void => {
    for (let parent = parentOf(path); parent !== ''; parent = parentOf(parent)) {
      if (tree.get(parent)?.kind === 'directory') continue;
      tree.delete(parent);
      tree.set(parent, { kind: 'directory', mode: 0o755 });
    }
    drop(tree, path);
    tree.set(path, made);
  };
  switch (operation.what) {
    case 'write': {
      const { bytes, mode } = operation;
      put(operation.path, { kind: 'file', bytes, mode, mtimeUs: nowUs });
      return;
    }
    case 'overwrite':
      if (node?.kind === 'file') put(operation.path, { ...node, bytes: flip(node.bytes) });
      return;
    case 'remove':
      drop(tree, operation.path);
      return;
    case 'mkdir':
      put(operation.path, { kind: 'directory', mode: operation.mode });
      return;
    case 'symlink':
      put(operation.path, { kind: 'symlink', target: operation.target });
      return;
    case 'chmod':
      if (node !== undefined && node.kind !== 'symlink')
        tree.set(operation.path, { ...node, mode: operation.mode });
      return;
    case 'touch':
      if (node?.kind === 'file') tree.set(operation.path, { ...node, mtimeUs: operation.mtimeUs });
      return;
    case 'rename':
    case 'link':
      if (node?.kind === 'file' && operation.to !== operation.path) {
        if (isWithin(operation.path, operation.to) || isWithin(operation.to, operation.path))
          return;
        if (operation.what === 'rename') tree.delete(operation.path);
        put(operation.to, node);
      }
  }
}

function flip(text: string): string {
  return Buffer.from(text)
    .map((byte) => byte ^ 1)
    .toString();
}

function drop(tree: Tree, path: string): void {
  for (const known of [...tree.keys()]) if (isWithin(known, path)) tree.delete(known);
}

function look(root: string, path: string): Stats | undefined {
  try {
    return lstatSync(toFsPath(`${root}/${path}`));
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) return undefined;
    throw error;
  }
}

/** False where a link is on the way: what lies behind it is not in this tree. */
function isReal(root: string, path: string): boolean {
  const parent = parentOf(path);
  return parent === '' || (isReal(root, parent) && look(root, parent)?.isDirectory() === true);
}

function clearWay(root: string, path: string): void {
  const parent = parentOf(path);
  if (parent !== '') {
    if (!isReal(root, `${parent}/x`)) {
      clearWay(root, parent);
      mkdirSync(toFsPath(`${root}/${parent}`));
    }
  }
  removeAt(root, path);
}

function removeAt(root: string, path: string): void {
  if (!isReal(root, path)) return;
  const place = toFsPath(`${root}/${path}`);
  const stats = look(root, path);
  if (stats === undefined) return;
  if (!stats.isDirectory()) {
    unlinkSync(place);
    return;
  }
  for (const name of readdirSync(place, { encoding: 'buffer' }))
    removeAt(root, `${path}/${pathFromBytes(name)}`);
  rmdirSync(place);
}
