/** A process that makes or loads the identity in a directory and prints it; see identity.test.ts. */
import { loadOrCreateIdentity } from '../../../src/trust/identity.js';

process.stdout.write(JSON.stringify(loadOrCreateIdentity(process.argv[2] ?? '')));
