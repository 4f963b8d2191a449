// What npm's SignalR client is beneath its hub protocol: a connection of bytes. It obeys `start`,
// `send` with the one argument that is to be sent, and `stop`; what it hears it says as `called`.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { HttpTransportType, LogLevel, TransferFormat } from '@microsoft/signalr';
import { say } from './say.mjs';

const { HttpConnection } = createRequire(import.meta.url)('@microsoft/signalr/dist/cjs/HttpConnection.js');

const { values: wish } = parseArgs({
  options: { url: { type: 'string' }, transport: { type: 'string' } },
});

const options = { transport: HttpTransportType[wish.transport], logger: LogLevel.None };
const connection = new HttpConnection(wish.url, options);
const text = (error) => error?.message ?? null;
connection.onreceive = (heard) => say({ event: 'called', method: 'heard', arguments: [heard] });
connection.onclose = (error) => say({ event: 'closed', error: text(error) });

const orders = {
  start: () =>
    connection.start(TransferFormat.Text).then(
      () => say({ event: 'started', connection: connection.connectionId ?? null }),
      (error) => say({ event: 'failed', error: text(error) }),
    ),
  send: ({ call, arguments: [words] }) =>
    connection.send(words).then(
      () => say({ event: 'sent', call }),
      (error) => say({ event: 'refused', call, error: text(error) }),
    ),
  stop: () => connection.stop(),
};

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const order = JSON.parse(line);
    orders[order.order](order);
  })
  .on('close', () => process.exit(0));
