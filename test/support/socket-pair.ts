import net from 'node:net';

export interface SocketPair extends AsyncDisposable {
  readonly left: net.Socket;
  readonly right: net.Socket;
}

/** Two ends of one real TCP connection over loopback; both are destroyed on disposal. */
export async function socketPair(): Promise<SocketPair> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve));
  const left = net.connect(port, '127.0.0.1');
  const right = await accepted;
  if (left.connecting) await new Promise((resolve) => left.once('connect', resolve));
  server.close();
  return {
    left,
    right,
    [Symbol.asyncDispose]: () => {
      left.destroy();
      right.destroy();
      return Promise.resolve();
    },
  };
}
