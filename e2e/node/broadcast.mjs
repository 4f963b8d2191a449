// A broadcaster that somebody else wrote: npm `ws`, nothing of Everwire's. What a client says all
// hear (`--to all`), or the client alone (`--to caller`).

import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { WebSocketServer } from 'ws';

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    to: { type: 'string', default: 'all' },
  },
});

const http = createServer();
const server = new WebSocketServer({ server: http, perMessageDeflate: false });
server.on('connection', (socket) => {
  socket.on('error', () => {});
  socket.on('message', (data, binary) => {
    const audience = options.to === 'all' ? server.clients : [socket];
    for (const client of audience) client.send(data, { binary });
  });
});
http.listen(Number(options.port), '127.0.0.1', 4096);
