import { isRmtxError } from '../../errors.js';
import { PROTOCOL } from '../../protocol/messages.js';
import { printable } from '../../util/printable.js';
import { VERSION } from '../../version.js';
import { failed, ok } from './verdict.js';
import type { Finding } from './verdict.js';

/** Whether both speak a protocol that the other knows. `greeting` is what greeting has thrown, if anything. */
export function judgeVersion(facts: {
  readonly hostVersion: string;
  readonly greeting: Error | undefined;
}): Finding {
  const { greeting } = facts;
  const theirs = printable(facts.hostVersion);
  if (greeting === undefined)
    return ok(
      theirs === VERSION
        ? `${VERSION}, the same here and there`
        : `${theirs} there, ${VERSION} here: they understand each other`,
    );
  const isVersion =
    isRmtxError(greeting) &&
    ['ERR_RMTX_VERSION_MISMATCH', 'ERR_RMTX_BAD_MESSAGE'].includes(greeting.code);
  if (!isVersion)
    return failed(printable(greeting.message), {
      code: 'host-failed',
      cause: 'the host takes questions, but no runs: it is stopping, busy, or at fault',
      cure: ['try again; then, on the host, see its log'],
    });
  return otherProtocol(theirs);
}

export function otherProtocol(hostVersion: string): Finding {
  return failed(`rmtx ${hostVersion} there and ${VERSION} here have no protocol in common`, {
    code: 'protocol-version',
    cause: `one of the two is too old (${VERSION} speaks protocol ${PROTOCOL.min} to ${PROTOCOL.max})`,
    cure: ['install the same version on both machines: compare rmtx version'],
  });
}
