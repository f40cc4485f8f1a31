import { deleteContexts, listContexts, pruneContexts } from '../../client/control.js';
import type { NamedContext } from '../../client/control.js';
import { RmtxError } from '../../errors.js';
import { printable } from '../../util/printable.js';
import { formatSize } from '../../util/units.js';
import type { FlagValues, Invocation } from '../arguments.js';
import { jsonDocument } from '../report/json.js';
import { renderTable, tabLine } from '../report/text.js';
import { targetOf } from '../target.js';

export { recover } from '../recovery.js';

export function run({ command, flags, operands }: Invocation): Promise<number> {
  switch (command.name) {
    case 'context delete':
      return remove(flags, operands);
    case 'context prune':
      return prune(flags);
    default:
      return list(flags);
  }
}

async function list(flags: FlagValues): Promise<number> {
  const contexts = await listContexts(targetOf(flags));
  process.stdout.write(
    flags.has('json')
      ? jsonDocument({
          contexts: contexts.map((context) => ({
            id: context.id,
            name: context.name,
            updated_at: context.updatedAt,
            active: context.active,
            size_bytes: context.sizeBytes,
            workspace: context.workspace,
          })),
        })
      : renderTable(
          ['ID', 'NAME', 'UPDATED', 'ACTIVE', 'SIZE', 'WORKSPACE'],
          contexts.map((context) => [
            context.id,
            context.name,
            context.updatedAt,
            context.active ? 'yes' : 'no',
            formatSize(context.sizeBytes),
            context.workspace,
          ]),
        ),
  );
  return 0;
}

async function remove(flags: FlagValues, ids: readonly string[]): Promise<number> {
  if (flags.has('current') === ids.length > 0)
    throw new RmtxError(
      'ERR_RMTX_BAD_ARGUMENT',
      flags.has('current') ? '--current and an id exclude each other' : 'no context is named',
      { hint: 'rmtx context delete --current, or with ids from rmtx context list' },
    );
  const wanted = flags.has('current') ? 'current' : [...ids];
  const { deleted, notFound } = await deleteContexts(targetOf(flags), wanted);
  const isNothing = deleted.length + notFound.length === 0;
  process.stdout.write(
    flags.has('json')
      ? jsonDocument({ deleted: deleted.map(named), not_found: notFound })
      : isNothing
        ? tabLine('deleted', '0')
        : deletedLines(deleted),
  );
  if (notFound.length === 0) return 0;
  throw new RmtxError(
    'ERR_RMTX_CONTEXT_NOT_FOUND',
    `the host has no context ${notFound.map((id) => printable(id)).join(', ')} of this client`,
    { hint: 'rmtx context list shows their ids' },
  );
}

async function prune(flags: FlagValues): Promise<number> {
  const olderThanMs = flags.durationMs('older-than');
  if (flags.has('all') === (olderThanMs !== undefined))
    throw new RmtxError(
      'ERR_RMTX_BAD_FLAG',
      flags.has('all')
        ? '--all and --older-than exclude each other'
        : 'rmtx context prune needs --all or --older-than TIME',
      { hint: 'rmtx context prune --older-than 7d' },
    );
  const { deleted } = await pruneContexts(
    targetOf(flags),
    olderThanMs === undefined ? { all: true } : { olderThanMs },
  );
  process.stdout.write(
    flags.has('json')
      ? jsonDocument({ deleted: deleted.map(named) })
      : deletedLines(deleted) || tabLine('deleted', '0'),
  );
  return 0;
}

function named({ id, name }: NamedContext): NamedContext {
  return { id, name };
}

function deletedLines(contexts: readonly NamedContext[]): string {
  return contexts.map(({ id, name }) => tabLine('deleted', id, name)).join('');
}
