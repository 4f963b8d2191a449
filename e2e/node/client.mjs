// A client that somebody else wrote: npm `ws`. It opens its connections, then takes orders on
// stdin, one a line, for all of them: `say N` sends the next N numbered messages (every other one
// binary), `close CODE REASON`. On stdout, one JSON object a line:
//
//   {"event":"open","connection":"<name>.<n>","protocol":…,"extensions":…}
//   {"event":"refused","connection":…,"status":…}
//   {"event":"message","connection":…,"stream":…,"sequence":…,"whole":…}
//   {"event":"close","connection":…,"code":…,"reason":…}

import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { WebSocket } from 'ws';
import * as message from './message.mjs';
import { say } from './say.mjs';

const { values: wish } = parseArgs({
  options: {
    url: { type: 'string' },
    name: { type: 'string', default: 'node' },
    connections: { type: 'string', default: '1' },
    protocols: { type: 'string', default: '' },
    deflate: { type: 'boolean', default: false },
    // Length of a message's filler in bytes.
    size: { type: 'string', default: '100' },
  },
});

const protocols = wish.protocols ? wish.protocols.split(',') : [];
const connections = Array.from({ length: Number(wish.connections) }, (_, n) => open(`${wish.name}.${n}`));

createInterface({ input: process.stdin })
  .on('line', obey)
  .on('close', () => process.exit(0));

function open(connection) {
  const socket = new WebSocket(wish.url, protocols, {
    perMessageDeflate: wish.deflate && { threshold: 0 },
    maxPayload: 256 * 1024 * 1024,
  });
  socket.on('open', () =>
    say({ event: 'open', connection, protocol: socket.protocol, extensions: socket.extensions }),
  );
  socket.on('unexpected-response', (_request, response) => {
    say({ event: 'refused', connection, status: response.statusCode });
    socket.terminate();
  });
  socket.on('message', (payload, isBinary) =>
    say({ event: 'message', connection, ...message.read(payload, isBinary) }),
  );
  socket.on('close', (code, reason) => say({ event: 'close', connection, code, reason: String(reason) }));
  socket.on('error', () => {});
  return { socket, connection, said: 0 };
}

function obey(line) {
  const [order, ...words] = line.split(' ');
  for (const client of connections) {
    if (order === 'say') for (let n = Number(words[0]); n > 0; n--) number(client);
    else if (order === 'close') client.socket.close(Number(words[0]), words.slice(1).join(' '));
  }
}

function number(client) {
  const sequence = ++client.said;
  const filler = message.filler(Number(wish.size), sequence);
  const binary = sequence % 2 === 0;
  client.socket.send(message.write(client.connection, sequence, filler, binary), { binary });
}
