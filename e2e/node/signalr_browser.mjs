// The official SignalR client on a page of headless Chromium: `puppet.mjs` in a browser. It takes
// the same options and orders as `signalr.mjs` and says the same; the page is of another origin
// than the hub.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { open, start } from './chromium.mjs';
import { say } from './say.mjs';
import { wishes } from './wish.mjs';

const { values: wish } = parseArgs({ options: { ...wishes, browser: { type: 'string' } } });

const page = await serve();
const browser = start(wish.browser);
browser.on('Runtime.bindingCalled', ({ payload }) => say(JSON.parse(payload)));
const tab = await open(browser);
const loaded = new Promise((done) => browser.on('Page.loadEventFired', done));
await tab.call('Page.navigate', { url: page });
await loaded;
await tab.evaluate(`begin(${JSON.stringify(wish)})`);

createInterface({ input: process.stdin })
  .on('line', (line) => tab.evaluate(`void obey(${line})`))
  .on('close', () => process.exit(0));

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
