// A backend that somebody else wrote: npm `ws`, nothing of Everwire's.
//
// Its behaviour is put together from options (see `behaviour` below). It writes one JSON object a
// line to stdout for everything that happens, in the order in which it happens, synchronously, so
// that what it has said survives SIGKILL:
//
//   {"event":"ready","port":…}
//   {"event":"open","leg":"<pid>.<n>","path":…,"headers":{…},"protocol":…,"extensions":…}
//   {"event":"message","leg":…,"stream":…,"sequence":…,"whole":true,"bytes":…}     ours
//   {"event":"message","leg":…,"text":…,"binary":…,"sha1":…,"bytes":…}             anything else
//   {"event":"close","leg":…,"code":…,"reason":…,"replies":<how many it sent numbered>}
//
// SIGTERM is a graceful restart: every socket is closed with 1012, then the process exits.
// Lines on stdin are orders: `close CODE REASON` closes every socket, `pause`, `resume` reading,
// `send TEXT` sends to every socket. The process ends when stdin does: no orphan outlives its test.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { WebSocketServer } from 'ws';
import * as message from './message.mjs';
import { say } from './say.mjs';

const GRACE_MS = 5000;

const { values: behaviour } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' },
    // echo: the same bytes; reply: a message numbered per leg; none: only the log.
    answer: { type: 'string', default: 'echo' },
    'answer-delay': { type: 'string', default: '0' },
    // Sends a numbered message of its own every so many milliseconds, asked or not.
    'push-every': { type: 'string', default: '0' },
    // Bytes a second it is willing to read.
    'read-rate': { type: 'string', default: '0' },
    // Never reads a byte after the handshake.
    deaf: { type: 'boolean', default: false },
    // The handler keeps the whole process busy this long per message.
    block: { type: 'string', default: '0' },
    // The process dies the moment it is handed this text.
    poison: { type: 'string', default: '' },
    greet: { type: 'string', default: '' },
    protocols: { type: 'string', default: '' },
    deflate: { type: 'boolean', default: false },
    'window-bits': { type: 'string', default: '15' },
  },
});

const answerDelay = Number(behaviour['answer-delay']);
const readRate = Number(behaviour['read-rate']);
const pushEvery = Number(behaviour['push-every']);
const blockFor = Number(behaviour.block);

const http = createServer((_request, response) => response.writeHead(426).end());
const server = new WebSocketServer({
  server: http,
  perMessageDeflate: behaviour.deflate ? deflate(Number(behaviour['window-bits'])) : false,
  handleProtocols: chooseProtocol,
  maxFragments: 0,
  maxPayload: 256 * 1024 * 1024,
});

let legs = 0;
server.on('connection', serve);
http.listen({ host: behaviour.host, port: Number(behaviour.port), backlog: 4096 }, () =>
  say({ event: 'ready', port: http.address().port }),
);

process.on('SIGTERM', () => {
  http.close(() => process.exit(0));
  for (const socket of server.clients) socket.close(1012, 'restarting');
  setTimeout(() => process.exit(0), GRACE_MS).unref();
});

createInterface({ input: process.stdin })
  .on('line', obey)
  .on('close', () => process.exit(0));

function serve(socket, request) {
  const leg = `${process.pid}.${++legs}`;
  const state = { leg, replies: 0 };
  say({
    event: 'open',
    leg,
    path: request.url,
    headers: request.headers,
    protocol: socket.protocol,
    extensions: socket.extensions,
  });
  if (behaviour.deaf) socket.pause();
  if (behaviour.greet) socket.send(behaviour.greet);
  const pushing = pushEvery > 0 ? setInterval(() => number(socket, state, 'push'), pushEvery) : null;
  socket.on('message', (payload, isBinary) => handle(socket, state, payload, isBinary));
  socket.on('error', () => {});
  socket.on('close', (code, reason) => {
    clearInterval(pushing);
    say({ event: 'close', leg, code, reason: String(reason), replies: state.replies });
  });
}

function handle(socket, state, payload, isBinary) {
  if (behaviour.poison && payload.toString() === behaviour.poison) process.abort();
  const seen = message.read(payload, isBinary);
  say({ event: 'message', leg: state.leg, bytes: payload.length, ...(seen ?? describe(payload, isBinary)) });
  if (blockFor > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, blockFor);
  if (readRate > 0) {
    socket.pause();
    setTimeout(() => socket.resume(), (payload.length / readRate) * 1000);
  }
  if (behaviour.answer === 'none') return;
  const answer = () => {
    if (socket.readyState !== socket.OPEN) return;
    if (behaviour.answer === 'echo') socket.send(payload, { binary: isBinary });
    else number(socket, state, seen ? `re ${seen.stream} ${seen.sequence}` : 're');
  };
  if (answerDelay > 0) setTimeout(answer, answerDelay);
  else answer();
}

// A message of the backend's own: every leg numbers its own from 1.
function number(socket, state, filler) {
  if (socket.readyState !== socket.OPEN) return;
  socket.send(message.write(`leg.${state.leg}`, ++state.replies, filler));
}

function obey(line) {
  const [order, ...words] = line.split(' ');
  for (const socket of server.clients) {
    if (order === 'close') socket.close(Number(words[0]), words.slice(1).join(' '));
    else if (order === 'send') socket.send(words.join(' '));
    else if (order === 'pause') socket.pause();
    else if (order === 'resume') socket.resume();
  }
}

function chooseProtocol(offered) {
  const known = behaviour.protocols.split(',');
  return [...offered].find((protocol) => known.includes(protocol)) ?? false;
}

// 15 is what the extension means when it says nothing, so nothing is said.
function deflate(bits) {
  const windows = bits === 15 ? {} : { serverMaxWindowBits: bits, clientMaxWindowBits: bits };
  return { ...windows, threshold: 0 };
}

function describe(payload, isBinary) {
  const sha1 = createHash('sha1').update(payload).digest('hex');
  return { text: payload.toString('utf8', 0, 200), binary: isBinary, sha1 };
}

