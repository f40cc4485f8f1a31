/**
 * A thread that does the file work of one workspace at a time, with synchronous calls, so that the host
 * goes on serving others. Started by workspace-threads.ts.
 */
import { parentPort } from 'node:worker_threads';
import { assertNever } from '../util/never.js';
import { takePulledFiles } from './pulled-files.js';
import { WorkspaceSession } from './workspace-session.js';
import { toSentError } from './workspace-worker-messages.js';
import type {
  WorkerCalls,
  WorkerMethod,
  WorkerRequest,
  WorkerResponse,
} from './workspace-worker-messages.js';

let session: WorkspaceSession | undefined;

parentPort?.on('message', (request: WorkerRequest) => {
  answer(request);
  afterwards(request);
});

function answer(request: WorkerRequest): void {
  const { id } = request;
  let response: WorkerResponse;
  try {
    response = { id, result: perform(request) };
  } catch (error) {
    response = { id, error: toSentError(error) };
  }
  const isTaken = request.method === 'pushBlobs' && 'result' in response;
  parentPort?.postMessage(response, isTaken ? [request.argument.buffer] : []);
}

function perform(request: WorkerRequest): WorkerCalls[WorkerMethod]['result'] {
  switch (request.method) {
    case 'open':
      session?.[Symbol.dispose]();
      session = new WorkspaceSession(request.argument);
      return undefined;
    case 'verify':
      return current().verify();
    case 'offerEntriesAhead':
      return current().offerEntriesAhead(request.argument);
    case 'offerAhead':
      return current().offerAhead(request.argument);
    case 'beginManifest':
      current().beginManifest(request.argument);
      return undefined;
    case 'pushManifest':
      current().pushManifest(request.argument);
      return undefined;
    case 'finishManifest':
      return current().finishManifest(request.argument);
    case 'pushBlobs':
      return {
        ...current().pushBlobs(request.argument),
        memory: request.argument.buffer,
      };
    case 'materialize':
      return current().materialize();
    case 'collect':
      return current().collect(request.argument);
    case 'acknowledge':
      current().acknowledge();
      return undefined;
    case 'restore':
      current().restore();
      return undefined;
    case 'pull':
      return takePulledFiles(request.argument);
    case 'dispose':
      session?.[Symbol.dispose]();
      session = undefined;
      return undefined;
    default:
      return assertNever(request);
  }
}

/**
 * Work that nobody waits for: while the client gets the requests, while the command starts, when the run is
 * over. Where it fails nothing is lost: what was not prepared is tried again by the next call, which then
 * says so, and an index that was not saved is the one of before, which is as good.
 */
function afterwards(request: WorkerRequest): void {
  try {
    if (request.method === 'finishManifest') session?.prepare();
    else if (request.method === 'materialize') session?.saveIndex();
    else if (request.method === 'acknowledge' || request.method === 'restore') session?.settle();
  } catch {
    // See above.
  }
}

function current(): WorkspaceSession {
  if (session === undefined) throw new Error('Internal error: no workspace is open in this worker');
  return session;
}
