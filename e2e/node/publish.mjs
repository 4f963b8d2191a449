// A publisher that shares nothing with Everwire: it asks the data plane of Azure SignalR for one
// thing, as that is described, signs with Node's own cryptography, and encodes with the protocols of
// npm's `@microsoft/signalr`. Says the answer on stdout, as one JSON object.

import { createHmac } from 'node:crypto';
import { parseArgs } from 'node:util';
import { encode } from '@msgpack/msgpack';
import { JsonHubProtocol, MessageType } from '@microsoft/signalr';
import { MessagePackHubProtocol } from '@microsoft/signalr-protocol-msgpack';

const { values: wish } = parseArgs({
  options: {
    // http://host:port
    endpoint: { type: 'string' },
    // Signs the request; without it nobody does.
    key: { type: 'string' },
    method: { type: 'string', default: 'POST' },
    // From /api on, without the query.
    path: { type: 'string' },
    query: { type: 'string', default: 'api-version=2024-12-01' },
    // What is published, and how it is written: json, msgpack, or encoded, which is a map from the
    // name of each encoding to the whole message.
    target: { type: 'string' },
    arguments: { type: 'string', default: '[]' },
    form: { type: 'string', default: 'json' },
  },
});

const kinds = {
  json: 'application/json',
  msgpack: 'application/x-msgpack',
  encoded: 'application/octet-stream',
};

const base64 = (text) => Buffer.from(text).toString('base64url');

function token(url, key) {
  const now = Math.floor(Date.now() / 1000);
  const header = base64(JSON.stringify({ alg: 'HS256', typ: 'JWT' }));
  const claims = base64(JSON.stringify({ aud: url, iat: now, nbf: now, exp: now + 300 }));
  const signature = createHmac('sha256', key).update(`${header}.${claims}`).digest('base64url');
  return `${header}.${claims}.${signature}`;
}

function body() {
  const message = { target: wish.target, arguments: JSON.parse(wish.arguments) };
  if (wish.form === 'json') return JSON.stringify(message);
  if (wish.form === 'msgpack') return encode(message);
  const call = { type: MessageType.Invocation, headers: {}, ...message };
  return encode({
    json: Buffer.from(new JsonHubProtocol().writeMessage(call)),
    messagepack: new Uint8Array(new MessagePackHubProtocol().writeMessage(call)),
  });
}

const url = `${wish.endpoint}${wish.path}`;
const headers = {};
if (wish.key) headers.authorization = `Bearer ${token(url, wish.key)}`;
if (wish.target) headers['content-type'] = kinds[wish.form];
const answer = await fetch(`${url}?${wish.query}`, {
  method: wish.method,
  headers,
  body: wish.target ? body() : undefined,
});
const text = await answer.text();
console.log(
  JSON.stringify({
    status: answer.status,
    code: answer.headers.get('x-ms-error-code'),
    body: text === '' ? null : JSON.parse(text),
  }),
);
