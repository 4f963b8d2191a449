// A backend that speaks plain HTTP: node:http, nothing of Everwire's.
//
//   /seen            says how the request arrived, as JSON: method, url, headers, body
//   /echo            its body, piece by piece as it comes
//   /sink            reads its body and says bytes and sha1
//   /flood?bytes=N   N bytes, as fast as they are taken
//   /events          server-sent events, one for each line `event TEXT` on stdin
//   /never           no answer at all
//   /die             ends the process
//
// It writes one JSON object a line to stdout: {"event":"ready","port":…}, then for each request
// {"event":"request","url":…,"connection":…} when its head has come, and
// {"event":"gone","url":…,"bytes":…} when the client's side ended before the answer did.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { parseArgs } from 'node:util';
import { say } from './say.mjs';

const { values: behaviour } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' },
  },
});

const listening = new Set();
let connections = 0;

const pages = {
  async '/seen'(request, response) {
    let body = '';
    for await (const piece of request) body += piece;
    const { method, url, headers, rawHeaders } = request;
    response.setHeader('X-Page', 'seen').setHeader('Keep-Alive', 'timeout=5');
    response.end(JSON.stringify({ method, url, headers, rawHeaders, body, pid: process.pid }));
  },
  '/echo': (request, response) => {
    response.flushHeaders();
    request.pipe(response);
  },
  async '/sink'(request, response) {
    const hash = createHash('sha1');
    let bytes = 0;
    for await (const piece of request) {
      hash.update(piece);
      bytes += piece.length;
    }
    response.end(JSON.stringify({ bytes, sha1: hash.digest('hex') }));
  },
  '/flood': (request, response, query) => {
    let left = Number(query.get('bytes'));
    response.setHeader('Content-Length', left);
    const piece = Buffer.alloc(64 * 1024, 'x');
    const pieces = new Readable({
      read() {
        const next = piece.subarray(0, Math.min(left, piece.length));
        left -= next.length;
        response.sent = (response.sent ?? 0) + next.length;
        this.push(next.length > 0 ? next : null);
      },
    });
    pieces.pipe(response);
  },
  '/events': (request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.write(': hello\n\n');
    listening.add(response);
    response.on('close', () => listening.delete(response));
  },
  '/never': () => {},
  '/die': () => process.exit(1),
};

const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://x');
  say({ event: 'request', url: request.url, connection: request.socket.number });
  response.on('close', () => {
    if (!response.writableFinished) say({ event: 'gone', url: request.url, bytes: response.sent });
  });
  const page = pages[pathname];
  if (page === undefined) {
    response.writeHead(404).end('no such page\n');
    return;
  }
  try {
    await page(request, response, searchParams);
  } catch {
    response.destroy();
  }
});
server.on('connection', (socket) => {
  socket.number = connections += 1;
});

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [order, ...rest] = line.split(' ');
    if (order === 'event') for (const one of listening) one.write(`data: ${rest.join(' ')}\n\n`);
  })
  .on('close', () => process.exit(0));
process.on('SIGTERM', () => server.close(() => process.exit(0)));
server.listen(Number(behaviour.port), behaviour.host, () => {
  say({ event: 'ready', port: server.address().port });
});
