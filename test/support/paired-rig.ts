import { after, before } from 'node:test';
import { Rig } from './rig.js';
import type { RigClient, RigHost, RigProject, Tree } from './rig.js';

/** One host and one client that is paired with it, for all tests of a file; there from `before` on. */
export class PairedRig {
  #rig: Rig | undefined;
  #host: RigHost | undefined;
  #client: RigClient | undefined;

  constructor() {
    before(async () => {
      this.#rig = new Rig();
      this.#host = await this.#rig.host();
      this.#client = this.#rig.pairedClient(this.#host);
    });
    after(() => this.#rig?.[Symbol.asyncDispose]());
  }

  get rig(): Rig {
    return there(this.#rig);
  }

  get host(): RigHost {
    return there(this.#host);
  }

  get client(): RigClient {
    return there(this.#client);
  }

  /** A project of a client of its own: nothing but the host is shared with other tests. */
  project(files: Tree = {}, config: object = {}): RigProject {
    return this.rig.pairedClient(this.host).project(files, { config, host: this.host });
  }

  /** A project of the client. */
  projectWith(files: Tree, config: object = {}): RigProject {
    return this.client.project(files, { config, host: this.host });
  }
}

function there<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('the rig is there from `before` on');
  return part;
}
