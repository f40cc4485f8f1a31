/**
 * Which paths are synced, which stay on the host, which may come home. The client judges its project
 * with these rules and the host its workspace with the same ones, so both come to the same answer.
 *
 * Order: rmtx's own files, the mounts, `keep_on_host`, then `ignore`, a mount's `exclude` and .gitignore.
 * `sync_back` is stronger than `keep_on_host`: what it names is not kept. It does not send what is
 * ignored, though: that comes home and stays home. Where mounts overlap, the deepest decides, and a
 * mount itself is synced even where a rule ignores a directory above it.
 */
import { createHash } from 'node:crypto';
import { parentOf, isWithin } from './entry.js';
import { Gitignore } from './gitignore.js';
import type { GitignoreSource } from './gitignore.js';
import { asLeastCareful, isOwnPath, isRefusedFromHost } from './own-names.js';
import { PatternList, namesEverything } from './patterns.js';
import { GITIGNORED } from './rule-sources.js';
import type { RuleSources } from './rule-sources.js';

export type Verdict =
  | { readonly kind: 'synced' }
  /** In no mount. Where it contains one it is an entry, and is entered for the mount's sake only. */
  | { readonly kind: 'outside'; readonly contains: boolean }
  /** Lives on the host only, from run to run. */
  | { readonly kind: 'kept'; readonly rule: string }
  | { readonly kind: 'ignored'; readonly rule: string; readonly source: string }
  /** rmtx's own. */
  | { readonly kind: 'own' };

export interface PathKind {
  readonly isDirectory: boolean;
}

interface Mount {
  /** '' is the root. */
  readonly path: string;
  readonly exclude: PatternList;
}

const SYNCED: Verdict = { kind: 'synced' };
const OWN: Verdict = { kind: 'own' };
const DIRECTORY: PathKind = { isDirectory: true };

/** Rules ready to judge. Lines of .gitignore are compiled when first needed. */
export class SyncRules {
  #sources: RuleSources;
  #id: string | undefined;
  /** Those of {@link sources} that were added and are not yet in it. */
  #added: GitignoreSource[] = [];
  /** The deepest first: the first that holds a path is its mount. */
  readonly #mounts: readonly Mount[];
  readonly #hasInnerMounts: boolean;
  readonly #ignore: PatternList;
  readonly #keepOnHost: PatternList;
  /** What `sync_back` names of its own; empty where it is absent. */
  readonly #syncBack: PatternList;
  /** All that is synced may come home: `sync_back` is absent or names the whole project. */
  readonly #returnsSynced: boolean;
  readonly #keepsGitignored: boolean;
  readonly #gitignore: Gitignore | undefined;
  /** What was explained last; the next question is mostly about a neighbour. */
  #lastDirectory: { readonly path: string; readonly verdict: Verdict } | undefined;

  constructor(sources: RuleSources) {
    this.#sources = sources;
    this.#mounts = sources.mounts.map(toMount).sort((a, b) => b.path.length - a.path.length);
    this.#hasInnerMounts = this.#mounts.some((mount) => this.holdsMount(mount.path));
    this.#ignore = new PatternList(sources.ignore, { slashMeans: 'directory' });
    const kept = sources.keepOnHost.filter((pattern) => pattern !== GITIGNORED);
    this.#keepOnHost = new PatternList(kept, { slashMeans: 'anything' });
    this.#keepsGitignored = kept.length < sources.keepOnHost.length;
    const named = (sources.syncBack ?? []).filter((pattern) => !namesEverything(pattern));
    this.#syncBack = new PatternList(named, { slashMeans: 'anything' });
    this.#returnsSynced = sources.syncBack === null || named.length < sources.syncBack.length;
    if (sources.gitignore !== null) {
      this.#gitignore = new Gitignore({ isCaseInsensitive: sources.isCaseInsensitive });
      for (const source of sources.gitignore) this.#gitignore.add(source);
    }
  }

  /** With all that {@link addGitignore} added. */
  get sources(): RuleSources {
    if (this.#added.length > 0) {
      const gitignore = [...(this.#sources.gitignore ?? []), ...this.#added];
      this.#sources = { ...this.#sources, gitignore };
      this.#added = [];
    }
    return this.#sources;
  }

  /** Names these rules: equal for two that judge every path alike because they say the same. */
  get id(): string {
    this.#id ??= createHash('sha256').update(JSON.stringify(this.sources)).digest('hex');
    return this.#id;
  }

  /** The mounts' paths, '' for the root. */
  get mountPaths(): string[] {
    return this.#mounts.map((mount) => mount.path);
  }

  /**
   * Adds a file found while walking; a directory's own before those below it. Nothing happens where
   * .gitignore does not count.
   */
  addGitignore(file: GitignoreSource): void {
    if (this.#gitignore === undefined) return;
    this.#gitignore.add(file);
    this.#added.push(file);
    this.#id = undefined;
    this.#lastDirectory = undefined;
  }

  /** Judges one path whose parents have been judged: for a walk, which enters only what is synced. */
  verdict(path: string, kind: PathKind): Verdict {
    if (isOwnPath(path) || this.#isOurState(path)) return OWN;
    const mount = this.#mountOf(path);
    if (mount === undefined || this.#isOnTheWayOnly(parentOf(path), mount))
      return { kind: 'outside', contains: this.holdsMount(path) };
    if (path === mount.path) return SYNCED;
    const verdict = this.#judgeInMount(mount, path, kind);
    if (verdict.kind !== 'synced' && kind.isDirectory && this.holdsMount(path))
      return { kind: 'outside', contains: true };
    return verdict;
  }

  /** Judges a path out of the blue: below a directory that is not synced nothing else is. */
  explain(path: string, kind: PathKind): Verdict {
    const mount = this.#mountOf(path);
    const parent = parentOf(path);
    if (mount === undefined || parent.length <= mount.path.length) return this.verdict(path, kind);
    if (this.#lastDirectory?.path !== parent)
      this.#lastDirectory = { path: parent, verdict: this.explain(parent, DIRECTORY) };
    const above = this.#lastDirectory.verdict;
    // Of what is in a directory entered for a mount's sake, `verdict` knows itself.
    const isEntered = above.kind === 'synced' || (above.kind === 'outside' && above.contains);
    return isEntered ? this.verdict(path, kind) : above;
  }

  /** True for what is part of the manifest, as opposed to what only comes home. */
  isInManifest(path: string, kind: PathKind): boolean {
    const verdict = this.explain(path, kind);
    return verdict.kind === 'synced' || (verdict.kind === 'outside' && verdict.contains);
  }

  /**
   * True when what the host has at this path may be written at the client. Never for `.git` and rmtx's
   * own files. A directory that only holds such a path is not eligible by itself.
   *
   * `**` in `sync_back` does not stand for an ignored or kept directory, so a pattern for every JSON file
   * does not fetch those in node_modules; one that begins with `node_modules/` does.
   */
  isSyncBackEligible(path: string, kind: PathKind): boolean {
    if (
      isOwnPath(path) ||
      isRefusedFromHost(path) ||
      this.#isOurState(asLeastCareful(path), asLeastCareful)
    )
      return false;
    if (this.#mountOf(path) === undefined) return false;
    if (this.#returnsSynced && this.explain(path, kind).kind === 'synced') return true;
    return this.#syncBack.covers(path, this.#isOpen);
  }

  /** True when an entry of `sync_back` other than the whole project names it or a directory above it. */
  namesInSyncBack(path: string): boolean {
    return this.#syncBack.covers(path);
  }

  /** True when {@link namesInSyncBack} is true of one of these names in a directory. */
  namesAnyInSyncBack(directory: string, names: readonly string[]): boolean {
    return this.#syncBack.coversAny(directory, names);
  }

  /**
   * False when surely nothing at or below a directory that is ignored or kept may come home: then there
   * is no reason to look into it.
   */
  canHoldSyncBack(directory: string): boolean {
    return this.#syncBack.canReach(directory, this.#isOpen);
  }

  /** True when a mount lies below this directory. */
  holdsMount(directory: string): boolean {
    return this.#mounts.some(
      (mount) => mount.path !== directory && isWithin(mount.path, directory),
    );
  }

  #judgeInMount(mount: Mount, path: string, kind: PathKind): Verdict {
    const isNamed = this.namesInSyncBack(path);
    const keptBy = isNamed ? undefined : this.#keepOnHost.find(path, kind.isDirectory);
    if (keptBy !== undefined) return { kind: 'kept', rule: keptBy };
    const git = this.#gitignore?.match(path, kind.isDirectory);
    // Kept is stronger than ignored: else a line in `ignore` would have the host clean it each time.
    if (git?.isIgnored === true && this.#keepsGitignored && !isNamed)
      return { kind: 'kept', rule: GITIGNORED };
    const ignoredBy = this.#ignore.find(path, kind.isDirectory);
    if (ignoredBy !== undefined) return { kind: 'ignored', rule: ignoredBy, source: 'ignore' };
    const excludedBy = findExcluded(mount, path, kind);
    if (excludedBy !== undefined) return { kind: 'ignored', rule: excludedBy, source: 'exclude' };
    if (git?.isIgnored === true) return { kind: 'ignored', rule: git.rule, source: git.source };
    return SYNCED;
  }

  /** Own names are never open; the rest of a directory's verdict is its own. */
  readonly #isOpen = (directory: string): boolean =>
    this.verdict(directory, DIRECTORY).kind === 'synced';

  /** True for an ignored directory of `mount` that is entered because another mount lies in it. */
  #isOnTheWayOnly(directory: string, mount: Mount): boolean {
    if (!this.#hasInnerMounts || directory.length <= mount.path.length) return false;
    return this.holdsMount(directory) && this.explain(directory, DIRECTORY).kind === 'outside';
  }

  #isOurState(path: string, compared = (own: string): string => own): boolean {
    return this.#sources.own?.some((directory) => isWithin(path, compared(directory))) === true;
  }

  #mountOf(path: string): Mount | undefined {
    return this.#mounts.find((mount) => isWithin(path, mount.path));
  }
}

/** Patterns of `exclude` count from the project root and from the mount. */
function findExcluded(mount: Mount, path: string, kind: PathKind): string | undefined {
  if (mount.exclude.isEmpty) return undefined;
  const fromRoot = mount.exclude.find(path, kind.isDirectory);
  if (fromRoot !== undefined || mount.path === '') return fromRoot;
  return mount.exclude.find(path.slice(mount.path.length + 1), kind.isDirectory);
}

function toMount(source: RuleSources['mounts'][number]): Mount {
  const path = source.path
    .split('/')
    .filter((name) => name !== '' && name !== '.')
    .join('/');
  return { path, exclude: new PatternList(source.exclude, { slashMeans: 'directory' }) };
}
