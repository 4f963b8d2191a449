// The page of the status demo: a SignalR client small enough to be read, and the roster it keeps.
//
// SignalR's JSON protocol over a WebSocket: each message is an object that ends with END. The hub
// calls `roster`, `joined` and `left` with names; a name is "NODE CONNECTION TAB TEXT", of which the
// first two are the hub's word. A socket that is lost is opened again for as long as the page is.

const END = '\x1e';
const PING = { type: 6 };
const CALL = 1;
const COMPLETION = 3;

// Longer than two pings of the hub are apart.
const SILENCE_MAX = 35_000;
const WAITS = [0, 250, 500, 1000, 2000, 4000];

const element = (id) => document.getElementById(id);
const roster = new Map();
const tab = [...crypto.getRandomValues(new Uint8Array(3))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

let socket;
let heardAt = 0;
let losses = 0;
// What the hub has been told on this connection, and which connection that is in the roster.
let said = '';
let own;

function connect() {
  const address = new URL('/statusHub', location.href);
  address.protocol = address.protocol.replace('http', 'ws');
  const mine = new WebSocket(address);
  socket = mine;
  said = '';
  own = undefined;
  heardAt = Date.now();
  let isOpen = false;
  mine.onopen = () => mine.send(JSON.stringify({ protocol: 'json', version: 1 }) + END);
  mine.onmessage = ({ data }) => {
    if (socket !== mine) return;
    heardAt = Date.now();
    for (const text of data.split(END).filter(Boolean)) {
      const message = JSON.parse(text);
      if (isOpen) hear(message);
      else if (message.error) mine.close();
      else {
        isOpen = true;
        losses = 0;
        announce();
      }
    }
  };
  mine.onclose = () => lose(mine);
}

/** Opens another socket, at once the first time and later each time. */
function lose(gone) {
  if (socket !== gone) return;
  socket = undefined;
  show('waiting', 'connection lost, looking for a node …');
  const wait = WAITS[Math.min(losses, WAITS.length - 1)];
  losses += 1;
  setTimeout(connect, wait * (0.75 + Math.random() / 2));
}

function say(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message) + END);
}

function hear({ type, target, arguments: [what] = [], error }) {
  if (type === PING.type) return say(PING);
  if (type === COMPLETION) element('refused').textContent = error ?? '';
  if (type !== CALL) return;
  if (target === 'roster') {
    roster.clear();
    what.forEach(enter);
  }
  if (target === 'joined') {
    const { connection, tab: its } = enter(what);
    if (its === tab && said) own ??= connection;
  }
  if (target === 'left') leave(what);
  draw();
}

/** Tells how this tab is, and that it is no longer as it was. */
function announce() {
  const says = `${tab} ${element('text').value.trim()}`;
  if (says === said) return;
  say({ type: CALL, invocationId: '1', target: 'Announce', arguments: [says, said] });
  said = says;
}

function enter(name) {
  const [node, connection, its, ...text] = name.split(' ');
  const entry = { name, node, connection, tab: its, text: text.join(' ') };
  roster.set(connection, entry);
  return entry;
}

/** Who has said something new has come with that before it goes with what it said before. */
function leave(name) {
  const connection = name.split(' ')[1];
  if (roster.get(connection)?.name === name) roster.delete(connection);
}

function draw() {
  const lines = [...roster.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
  element('roster').replaceChildren(...lines.map(line));
  element('count').textContent = lines.length;
  const { node } = roster.get(own) ?? {};
  if (node) show('connected', `connected to node ${short(node)}`);
}

function line(one) {
  const item = document.createElement('li');
  item.dataset.node = one.node;
  item.dataset.tab = one.tab;
  item.append(part('text', one.text || '–'));
  if (one.connection === own) item.append(part('own', 'this tab'));
  item.append(part('tab', one.tab), chip(one.node));
  return item;
}

function chip(node) {
  const chip = part('node', `node ${short(node)}`);
  chip.title = node;
  // The same colour in every tab.
  const mixed = [...node].reduce((sum, letter) => Math.imul(sum ^ letter.codePointAt(0), 0x01000193), 0x811c9dc5);
  chip.style.setProperty('--hue', (mixed >>> 0) % 360);
  return chip;
}

function part(kind, text) {
  const part = document.createElement('span');
  part.className = kind;
  part.textContent = text;
  return part;
}

const short = (node) => node.slice(0, 6);

function show(state, text) {
  const link = element('link');
  if (link.textContent === text) return;
  link.dataset.state = state;
  link.textContent = text;
}

async function ask() {
  const answer = await fetch('/api', { cache: 'no-store' }).catch(() => undefined);
  if (!answer?.ok) return void (element('answer').textContent = 'no node answers');
  const { node, connections, nodes } = await answer.json();
  const has = `it has ${connections} of the connections, and sees ${nodes} ${nodes === 1 ? 'node' : 'nodes'}`;
  element('answer').replaceChildren(chip(node), part('has', has));
}

element('form').onsubmit = (event) => {
  event.preventDefault();
  announce();
};
element('ask').onclick = ask;
// A hub that is silent for so long is gone, whatever the socket says.
setInterval(() => {
  if (socket && Date.now() - heardAt > SILENCE_MAX) {
    const silent = socket;
    lose(silent);
    silent.close();
  }
}, 5000);
connect();
ask();
