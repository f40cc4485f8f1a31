/** Takes verified blobs and makes of each the staged files that need it, complete with mode and time. */
import { closeSync, openSync, renameSync, rmSync } from 'node:fs';
import type { Digest } from '../../store/digest.js';
import { explainWriteError } from '../../store/disk-full.js';
import type { FileEntry, WorkspacePath } from '../../sync/entry.js';
import type { BlobSink } from '../../protocol/blob-receiver.js';
import { writeFully } from '../../util/atomic-file.js';
import { SAFE_READ_FLAGS } from '../../util/safe-path.js';
import type { AnchoredRoot } from '../../util/safe-path.js';
import { copyBytes, createFile, setAttributes } from './copy-file.js';
import type { StagedAt } from './operations.js';
import type { PartialBlobs } from '../../store/partial-blobs.js';
import type { StageAreas } from './stage-areas.js';

/** One staged file that wants a blob. */
export interface WantedFile {
  readonly entry: FileEntry;
  readonly staged: StagedAt;
}

export interface StageSinkOptions {
  readonly areas: StageAreas;
  readonly root: AnchoredRoot;
  readonly partials: PartialBlobs;
  readonly wanted: ReadonlyMap<Digest, readonly WantedFile[]>;
  /** The file in the project that an older version of a blob may be found in. */
  readonly basisPaths: ReadonlyMap<Digest, WorkspacePath>;
}

export class StageSink implements BlobSink {
  readonly #options: StageSinkOptions;
  /** What is here now. */
  readonly arrived = new Set<Digest>();
  readonly lost = new Set<Digest>();
  readonly #building = new Map<Digest, string>();

  constructor(options: StageSinkOptions) {
    this.#options = options;
  }

  basis(digest: Digest): number | undefined {
    return this.#openOlder(digest) ?? this.#options.partials.open(digest);
  }

  small(digest: Digest, bytes: Buffer): void {
    for (const { entry, staged } of this.#wantedFor(digest))
      this.#orExplain(() =>
        createFile(this.#options.areas.area(staged.area).at(staged.slot), entry, (fd) =>
          writeFully(fd, bytes),
        ),
      );
    this.arrived.add(digest);
  }

  createLarge(digest: Digest): { readonly fd: number; readonly path: string } {
    const claimed = this.#orExplain(() => this.#options.partials.claim(digest));
    this.#building.set(digest, claimed.path);
    return claimed;
  }

  large(digest: Digest, path: string): void {
    this.#building.delete(digest);
    const [first, ...others] = this.#wantedFor(digest);
    if (first === undefined) {
      rmSync(path);
      return;
    }
    this.#orExplain(() => {
      const fd = openSync(path, SAFE_READ_FLAGS);
      try {
        // The first gets the file itself where that is possible, so the copies are made before.
        for (const other of others) this.#copy(fd, other);
        if (first.staged.area !== 0) this.#copy(fd, first);
        else setAttributes(fd, first.entry);
      } finally {
        closeSync(fd);
      }
      if (first.staged.area !== 0) rmSync(path);
      else renameSync(path, this.#options.areas.area(0).at(first.staged.slot));
    });
    this.arrived.add(digest);
  }

  unfinished(digest: Digest, path: string): void {
    this.#building.delete(digest);
    this.#options.partials.release(digest, path);
  }

  /** After a failed fetch: what was begun is there for the next attempt. */
  releaseUnfinished(): void {
    for (const [digest, path] of this.#building) this.#options.partials.release(digest, path);
    this.#building.clear();
  }

  gone(digest: Digest): void {
    this.lost.add(digest);
  }

  #openOlder(digest: Digest): number | undefined {
    const path = this.#options.basisPaths.get(digest);
    try {
      return path === undefined ? undefined : this.#options.root.openFile(path);
    } catch {
      // It only saves bytes: unreadable or behind a link by now, it is none.
      return undefined;
    }
  }

  #wantedFor(digest: Digest): readonly WantedFile[] {
    return this.#options.wanted.get(digest) ?? [];
  }

  #copy(source: number, { entry, staged }: WantedFile): void {
    createFile(this.#options.areas.area(staged.area).at(staged.slot), entry, (fd) =>
      copyBytes(source, fd),
    );
  }

  #orExplain<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw explainWriteError(error, this.#options.partials.directory);
    }
  }
}
