// The official SignalR client on a page of headless Chromium: `puppet.mjs` in a browser. It takes
// the same options and orders as `signalr.mjs` and says the same; the page is of another origin
// than the hub.
//
// The browser is spoken to over two pipes in Chromium's DevTools protocol, one JSON object and a
// NUL at a time. When this process ends, however it does, the pipes end, and the browser with them.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { say } from './say.mjs';
import { wishes } from './wish.mjs';

const { values: wish } = parseArgs({ options: { ...wishes, browser: { type: 'string' } } });

const page = await serve();
const browser = start(wish.browser);
const { targetId } = await browser.call('Target.createTarget', { url: 'about:blank' });
const { sessionId } = await browser.call('Target.attachToTarget', { targetId, flatten: true });
const tab = (method, params) => browser.call(method, params, sessionId);
browser.on('Runtime.bindingCalled', ({ payload }) => say(JSON.parse(payload)));
await tab('Runtime.enable');
await tab('Runtime.addBinding', { name: 'say' });
await tab('Page.enable');
const loaded = new Promise((done) => browser.on('Page.loadEventFired', done));
await tab('Page.navigate', { url: page });
await loaded;
await evaluate(`begin(${JSON.stringify(wish)})`);

createInterface({ input: process.stdin })
  .on('line', (line) => evaluate(`void obey(${line})`))
  .on('close', () => process.exit(0));

async function evaluate(expression) {
  const { exceptionDetails } = await tab('Runtime.evaluate', { expression, awaitPromise: true });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
}

/** Serves the page and its scripts; gives its address. */
function serve() {
  const here = dirname(fileURLToPath(import.meta.url));
  const modules = createRequire(import.meta.url);
  const folder = (name) => join(dirname(modules.resolve(name)), '../browser');
  const script = 'text/javascript';
  const files = {
    '/': ['text/html', join(here, 'page.html')],
    '/puppet.mjs': [script, join(here, 'puppet.mjs')],
    '/follow.mjs': [script, join(here, 'follow.mjs')],
    '/signalr.js': [script, join(folder('@microsoft/signalr'), 'signalr.js')],
    '/msgpack.js': [script, join(folder('@microsoft/signalr-protocol-msgpack'), 'signalr-protocol-msgpack.js')],
  };
  const server = createServer((request, response) => {
    const [kind, file] = files[request.url] ?? [];
    if (!file) return response.writeHead(404).end();
    response.writeHead(200, { 'Content-Type': kind }).end(readFileSync(file));
  });
  return new Promise((done) =>
    server.listen(0, '127.0.0.1', () => done(`http://127.0.0.1:${server.address().port}/`)),
  );
}

function start(program) {
  const options = ['--headless', '--no-sandbox', '--disable-gpu', '--remote-debugging-pipe'];
  const child = spawn(program, options, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  child.on('exit', () => process.exit(1));
  const [, , , writer, reader] = child.stdio;
  const waiting = new Map();
  const listeners = new Map();
  let calls = 0;
  let begun = '';
  reader.setEncoding('utf8').on('data', (text) => {
    const whole = (begun + text).split('\0');
    begun = whole.pop();
    whole.map((message) => JSON.parse(message)).forEach(hear);
  });

  function hear({ id, result, error, method, params }) {
    if (method) return listeners.get(method)?.(params);
    const { done, failed } = waiting.get(id);
    waiting.delete(id);
    if (error) failed(new Error(error.message));
    else done(result);
  }

  return {
    call(method, params = {}, sessionId = undefined) {
      const id = ++calls;
      writer.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
      return new Promise((done, failed) => waiting.set(id, { done, failed }));
    },
    on: (method, heard) => listeners.set(method, heard),
  };
}
