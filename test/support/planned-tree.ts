/** Trees as plans that `fixtures/commands/become.mjs` carries out, on either side. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fixture } from './commands.js';
import { readTree } from './disk-tree.js';

/** What is at a path: nothing, a file's content, a link, a directory. */
export type State = null | string | { readonly link: string } | { readonly tree: Plan };
export type Plan = Readonly<Record<string, State>>;

/** Carries a plan out here. */
export function become(root: string, plan: Plan, scratch: string): void {
  const { status, stderr } = spawnSync('sh', ['-c', becomeCommand(plan, scratch)], { cwd: root });
  if (status !== 0) throw new Error(`become failed: ${String(stderr)}`);
}

/** Carries a plan out where the shell is. The plan itself is put into `scratch`. */
export function becomeCommand(plan: Plan, scratch: string): string {
  const file = path.join(scratch, 'plan.json');
  writeFileSync(file, JSON.stringify(plan));
  return `'${process.execPath}' '${fixture('become.mjs')}' '${file}'`;
}

/** Every path with what is there, directories as '/', links as '-> TARGET'. */
export type Flat = Readonly<Record<string, string>>;

export function flatten(plan: Plan, above = ''): Flat {
  const flat: Record<string, string> = {};
  for (const [name, state] of Object.entries(plan)) {
    const at = above + name;
    if (state === null) continue;
    if (typeof state === 'string') flat[at] = state;
    else if ('link' in state) flat[at] = `-> ${state.link}`;
    else Object.assign(flat, { [at]: '/' }, flatten(state.tree, `${at}/`));
  }
  return flat;
}

/** What is on disk, in the same form. */
export function flatTree(root: string): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [at, node] of readTree(root))
    if (node.kind === 'file') flat[at] = node.bytes;
    else flat[at] = node.kind === 'directory' ? '/' : `-> ${node.target}`;
  return flat;
}

/** For a shell: prints {@link flatTree} of the directory it is in, as JSON. */
export const PRINT_FLAT_TREE = `'${process.execPath}' '${fixture('print-tree.mjs')}'`;
