/**
 * One connection of ALPN `rmtx/1`: a paired client opens a run (open-run.ts) or comes back to one
 * (attach-run.ts). The order of the messages is in protocol/messages.ts. What happens to the run when the
 * connection ends is the run's affair (run-life.ts).
 */
import { isRmtxError } from '../errors.js';
import type { RmtxError } from '../errors.js';
import type { PeerConnection } from '../protocol/connection.js';
import { encodeHostMessage } from '../protocol/host-message-codec.js';
import { attachToRun } from './attach-run.js';
import { Conversation } from './conversation.js';
import type { ConversationOptions } from './conversation.js';
import { openRun } from './open-run.js';
import { servePull } from './pull.js';
import { describeFailure } from './routes.js';

export interface VisitOptions extends ConversationOptions {
  /** Called once the client has said what it wants: until then it has the deadline of a stranger. */
  readonly onOpened: () => void;
}

/** Serves the connection to its end. Never rejects: what goes wrong is told to the client and logged. */
export async function serveVisit(options: VisitOptions): Promise<void> {
  const { connection, services } = options;
  const { stopping } = services.runs;
  const talk = new Conversation(options);
  const onStopping = (): void => talk.hostStops();
  stopping.addEventListener('abort', onStopping, { once: true });
  try {
    await talk.greet();
    const first = await talk.inbox.next('run_open', 'run_attach', 'pull');
    options.onOpened();
    if (first.type === 'run_open') await openRun(talk, first);
    else if (first.type === 'run_attach') await attachToRun(talk, first);
    else await servePull(talk, first);
  } catch (thrown) {
    // A refused message has ended the connection: what that broke is not the reason.
    const error = talk.refusal ?? thrown;
    if (!isLost(error)) {
      services.log(`a visit failed: ${describeFailure(error)}`);
      talk.tell(error);
    } else if (!talk.isEnded) {
      connection.destroy();
    }
  } finally {
    stopping.removeEventListener('abort', onStopping);
    await connection.close();
  }
}

function isLost(error: unknown): boolean {
  return isRmtxError(error) && error.family === 'connection';
}

/** Says why not, and nothing else; what the client sends is not read. */
export function refuseVisit(connection: PeerConnection, error: RmtxError): Promise<void> {
  connection.send(encodeHostMessage({ type: 'refused', error }));
  return connection.close();
}
