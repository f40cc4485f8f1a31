/** A project on disk for tests of scanning. */
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { EntryTableBuilder } from '../../src/sync/entry-table-builder.js';
import type { EntryTable } from '../../src/sync/entry-table.js';
import { NO_RULES } from '../../src/sync/rule-sources.js';
import type { RuleSources } from '../../src/sync/rule-sources.js';
import { settleRacy } from '../../src/sync/rescan.js';
import type { ScanState } from '../../src/sync/scan-state.js';
import { scanProject } from '../../src/sync/scan.js';
import type { ScanOptions, ScanResult } from '../../src/sync/scan.js';
import { toFsPath } from '../../src/util/path-bytes.js';
import { AnchoredRoot } from '../../src/util/safe-path.js';

export class ProjectTree implements Disposable {
  readonly path: string;
  readonly root: AnchoredRoot;

  constructor(files: Readonly<Record<string, string>> = {}) {
    this.path = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'rmtx-tree-')));
    // The test for unreadable files looks at it as somebody else.
    chmodSync(this.path, 0o755);
    for (const [file, content] of Object.entries(files)) this.write(file, content);
    this.root = AnchoredRoot.open(this.path);
  }

  /** Absolute; escaped names become bytes. */
  at(relative: string): string | Buffer {
    return toFsPath(`${this.path}/${relative}`);
  }

  write(relative: string, content: string | Buffer): void {
    const slash = relative.lastIndexOf('/');
    if (slash > 0) mkdirSync(this.at(relative.slice(0, slash)), { recursive: true });
    writeFileSync(this.at(relative), content);
  }

  remove(relative: string): void {
    rmSync(this.at(relative), { recursive: true });
  }

  scan(options: Partial<ScanOptions> = {}): Promise<ScanResult> {
    return scanProject({ root: this.root, rules: rulesWith({}), ...options });
  }

  /**
   * A scan whose result needs no second look: what it found is older than the racy window, and so are
   * the ignore files it read.
   */
  async settledScan(options: Partial<ScanOptions> = {}): Promise<ScanResult> {
    const first = await this.scan(options);
    const previous: ScanState = {
      ...first,
      table: await settleRacy({ root: this.root }, first.table),
    };
    return this.scan({ ...options, previous });
  }

  [Symbol.dispose](): void {
    this.root[Symbol.dispose]();
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Everything is synced but for what is said otherwise. */
export function rulesWith(rules: Partial<RuleSources>): RuleSources {
  return { ...NO_RULES, ...rules };
}

export function pathsOf(table: EntryTable): string[] {
  const paths: string[] = [];
  for (let row = 0; row < table.length; row++) paths.push(table.path(row));
  return paths;
}

export function filesOf(table: EntryTable): string[] {
  const files: string[] = [];
  for (let row = 0; row < table.length; row++)
    if (table.kind(row) !== 'directory') files.push(table.path(row));
  return files;
}

/** The table as if everything in it had been written right before it was scanned. */
export function markRacy(table: EntryTable): EntryTable {
  const builder = new EntryTableBuilder();
  for (let row = 0; row < table.length; row++) {
    const signature = table.signature(row);
    builder.copyWith(
      table,
      row,
      signature === undefined ? undefined : { ...signature, isRacy: true },
    );
  }
  return builder.build();
}
