// Tabs of headless Chromium with the status demo's page open. Each order is one JSON object a line on
// stdin and names a `tab` by its number:
//
//   open                one more tab
//   tell  text          types how the tab is, and sends it; by keyboard alone
//   ask                 presses the button that asks which node answers; by keyboard alone
//   resize width height shows the page on a screen of that size
//
// It says, one JSON object a line on stdout: {"event":"page","tab":0,"lines":[…],"link":…,"answer":…}
// for each change of a page, "asked" with each `url` that a page asks for, "resized" with whether the
// page `fits` without scrolling sideways, and "complaint" with the `text` of what the browser has to say
// against the page. That a socket or a request fails, as it does when nodes are killed, is no complaint.

import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { open, start } from './chromium.mjs';
import { say } from './say.mjs';

const { values: wish } = parseArgs({ options: { browser: { type: 'string' }, url: { type: 'string' } } });

const browser = start(wish.browser);
const tabs = [];
const loads = new Map();
const numberOf = (session) => tabs.findIndex(({ sessionId }) => sessionId === session);
browser.on('Page.loadEventFired', (_, session) => loads.get(session)?.());
browser.on('Runtime.bindingCalled', ({ payload }, session) =>
  say({ event: 'page', tab: numberOf(session), ...JSON.parse(payload) }));
browser.on('Network.requestWillBeSent', ({ request: { url } }) => say({ event: 'asked', url }));
browser.on('Network.webSocketCreated', ({ url }) => say({ event: 'asked', url }));
browser.on('Runtime.exceptionThrown', ({ exceptionDetails: { text, exception } }) =>
  say({ event: 'complaint', text: exception?.description ?? text }));
browser.on('Log.entryAdded', ({ entry: { source, text } }) => {
  if (source !== 'network' && !text.startsWith('WebSocket connection to')) say({ event: 'complaint', text });
});

/** Runs in the page: says what it shows, whenever that changes. */
function watch() {
  const text = (id) => document.getElementById(id).textContent;
  const lines = () => [...document.querySelectorAll('#roster li')].map((item) => ({
    node: item.dataset.node,
    tab: item.dataset.tab,
    text: item.querySelector('.text').textContent,
    own: item.querySelector('.own') !== null,
  }));
  const tell = () => globalThis.say(JSON.stringify({ lines: lines(), link: text('link'), answer: text('answer') }));
  new MutationObserver(tell).observe(document.body, { childList: true, subtree: true, characterData: true });
  tell();
}

const orders = {
  async open() {
    const tab = await open(browser);
    tabs.push(tab);
    await tab.call('Network.enable');
    await tab.call('Log.enable');
    const loaded = new Promise((done) => loads.set(tab.sessionId, done));
    await tab.call('Page.navigate', { url: wish.url });
    await loaded;
    await tab.evaluate(`(${watch})()`);
  },
  async tell({ tab, text }) {
    await reach(tabs[tab], 'text');
    await press(tabs[tab], { key: 'a', code: 'KeyA', modifiers: 2, commands: ['selectAll'] });
    await tabs[tab].call('Input.insertText', { text });
    await press(tabs[tab], ENTER);
  },
  async ask({ tab }) {
    await reach(tabs[tab], 'ask');
    await press(tabs[tab], ENTER);
  },
  async resize({ tab, width, height }) {
    const metrics = { width, height, deviceScaleFactor: 2, mobile: false };
    await tabs[tab].call('Emulation.setDeviceMetricsOverride', metrics);
    const fits = await tabs[tab].evaluate('document.documentElement.scrollWidth <= innerWidth');
    say({ event: 'resized', tab, width, fits });
  },
};

const ENTER = { key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 13, text: '\r' };
const TAB = { key: 'Tab', code: 'Tab', windowsVirtualKeyCode: 9 };

/** Goes to an element as somebody does who has only a keyboard. */
async function reach(tab, id) {
  for (let steps = 0; steps < 20; steps += 1) {
    if ((await tab.evaluate('document.activeElement.id')) === id) return;
    await press(tab, TAB);
  }
  say({ event: 'complaint', text: `the keyboard does not reach ${id}` });
}

async function press(tab, key) {
  await tab.call('Input.dispatchKeyEvent', { type: 'keyDown', ...key });
  await tab.call('Input.dispatchKeyEvent', { type: 'keyUp', ...key, text: undefined, commands: undefined });
}

// One order after another.
let before = Promise.resolve();
createInterface({ input: process.stdin })
  .on('line', (line) => {
    const order = JSON.parse(line);
    before = before.then(() => orders[order.order](order));
  })
  .on('close', () => process.exit(0));
