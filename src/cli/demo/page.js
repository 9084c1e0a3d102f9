'use strict';
// One client at each node, as Seafile's web page is one; posts and switches go by way of the page's own server.
const $ = (id) => document.getElementById(id);
const MOST = 50;
const LOOK = 500;
const opened = Date.now();
let demo;
let state;
/** What was posted before this page was there is not counted. */
let base = null;
const clients = [];

function say(element, text, mood) {
  if (element.textContent !== text) element.textContent = text;
  element.className = mood || '';
}

function create(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/** Numbered events that a client has: all up to `upTo`, and those in `more`. */
class Had {
  constructor() {
    this.upTo = base;
    this.more = new Set();
  }

  add(number) {
    if (number > this.upTo) this.more.add(number);
    while (this.more.delete(this.upTo + 1)) this.upTo += 1;
  }

  count() {
    return this.upTo - base + this.more.size;
  }
}

class Client {
  constructor(home) {
    this.home = home;
    this.at = home;
    this.had = null;
    this.early = [];
    this.is_subscribed = false;
    this.connect();
  }

  /** Where it connects: to its own node, or to another one while that is stopped. */
  node() {
    const runs = (index) => state.nodes[index];
    const others = demo.nodes.map((_, step) => (this.home + step) % demo.nodes.length);
    return others.find(runs) ?? this.home;
  }

  connect() {
    this.at = this.node();
    this.is_subscribed = false;
    const socket = new WebSocket(demo.nodes[this.at].websocket);
    this.socket = socket;
    socket.onopen = () => this.subscribe();
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.type === 'jwt-expired') this.subscribe();
      else this.take(message.content);
    };
    socket.onclose = () => {
      this.is_subscribed = false;
      setTimeout(() => this.connect(), LOOK);
    };
  }

  async subscribe() {
    const { token } = await (await fetch('/token')).json();
    const repos = [{ id: demo.library, jwt_token: token }];
    this.socket.send(JSON.stringify({ type: 'subscribe', content: { repos } }));
    this.is_subscribed = true;
    show();
  }

  take(content) {
    if (content.number === undefined) {
      if (this.home === 0) arrived(content, demo.nodes[this.at].name);
    } else if (this.had) {
      this.had.add(content.number);
    } else {
      this.early.push(content.number);
    }
  }

  count() {
    if (!this.had) {
      this.had = new Had();
      this.early.forEach((number) => this.had.add(number));
    }
    return this.had.count();
  }
}

function arrived(content, through) {
  const from = content.posted_to ? `posted to ${content.posted_to}` : 'posted from elsewhere';
  // What was posted before this page was there comes from the nodes' memory; its age says nothing about their speed.
  const took = content.sent_ms >= opened ? `, ${Math.max(0, Date.now() - content.sent_ms)} ms after the click` : '';
  const text = create('strong', { textContent: content.text || JSON.stringify(content) });
  const list = $('events');
  list.prepend(create('li', {}, text, create('span', { textContent: `${from}, arrived through ${through}${took}` })));
  while (list.children.length > MOST) list.lastChild.remove();
}

async function send(path, what) {
  const body = JSON.stringify(what);
  return fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
}

async function post(event) {
  event.preventDefault();
  const node = $('node').value;
  try {
    const response = await send('/publish', { node, text: $('text').value, sent_ms: Date.now() });
    const answer = await response.text();
    say($('answer'), response.ok ? `${node} accepted it.` : `${node}: ${answer}`, response.ok ? 'good' : 'bad');
  } catch (error) {
    say($('answer'), 'The demo has ended.', 'bad');
  }
}

async function turn(button, what, on, done) {
  button.disabled = true;
  say($('switched'), 'Working…');
  try {
    const response = await send('/switch', { what, on });
    if (response.ok) state = await response.json();
    say($('switched'), response.ok ? done : await response.text(), response.ok ? '' : 'bad');
  } catch (error) {
    say($('switched'), 'The demo has ended.', 'bad');
  }
  button.disabled = false;
  show();
}

function show() {
  if (!state) return;
  if (base === null && clients.length > 0 && clients.every((client) => client.is_subscribed)) base = state.accepted;
  if (base !== null) counts();
  demo.nodes.forEach((node, index) => {
    const runs = state.nodes[index];
    const held = clients.filter((client) => client.is_subscribed && client.at === index).length;
    node.item.className = runs ? '' : 'stopped';
    node.state.textContent = runs ? `runs, ${held} of ${clients.length} clients` : 'stopped';
    node.button.textContent = runs ? 'Stop' : 'Start';
    node.button.setAttribute('aria-label', `${node.button.textContent} ${node.name}`);
    node.link.hidden = !runs;
  });
  $('broker-state').textContent = state.broker ? 'runs' : 'stopped: events wait at the node that took them';
  $('broker').textContent = state.broker ? 'Stop the broker' : 'Start the broker';
  $('flow').textContent = state.posting ? 'Stop posting' : 'Post ten a second';
  $('flow').setAttribute('aria-pressed', String(state.posting));
}

function counts() {
  const posted = state.accepted - base;
  // The state is a little older than what has arrived.
  const arrived = Math.min(...clients.map((client) => client.count()), posted);
  $('posted').textContent = posted;
  $('arrived').textContent = arrived;
  $('due').textContent = posted - arrived;
  const all = clients.every((client) => client.is_subscribed);
  if (!all) say($('status'), 'A client is looking for another node.');
  else if (arrived < posted) say($('status'), state.broker ? 'Some are on their way.' : 'Some wait for the broker.');
  else say($('status'), posted === 0 ? 'Every client is subscribed.' : 'Every client has every event.', 'good');
  document.body.dataset.subscribed = String(all);
}

async function look() {
  try {
    const now = await (await fetch('/state.json')).json();
    // The demo was started anew: what this page counted was another one's.
    if (now.run !== state.run) return location.reload();
    state = now;
    show();
  } catch (error) {
    say($('status'), 'The demo has ended.', 'bad');
  }
  setTimeout(look, LOOK);
}

function card(node, index) {
  node.state = create('span', {});
  node.button = create('button', { type: 'button', className: 'quiet' });
  node.button.id = `switch-${index + 1}`;
  node.link = create('a', { href: node.console, target: '_blank', rel: 'noopener', textContent: `Console of ${node.name}` });
  node.button.addEventListener('click', () => {
    const on = !state.nodes[index];
    turn(node.button, { node: node.name }, on, on ? `${node.name} runs again.` : `${node.name} has ended; its clients went to the others.`);
  });
  node.item = create('li', {}, create('strong', { textContent: node.name }), node.state, node.link, node.button);
  $('nodes').append(node.item);
  $('node').append(new Option(node.name, node.name, false, node.name === demo.post));
}

async function start() {
  demo = await (await fetch('/demo.json')).json();
  state = await (await fetch('/state.json')).json();
  demo.nodes.forEach(card);
  $('curl').textContent = demo.curl;
  $('form').addEventListener('submit', post);
  $('flow').addEventListener('click', () => turn($('flow'), 'posting', !state.posting, ''));
  $('broker').addEventListener('click', () => {
    const on = !state.broker;
    turn($('broker'), 'broker', on, on ? 'The broker runs again; what waited goes out.' : 'The broker has stopped; each node still serves its own clients.');
  });
  $('copy').addEventListener('click', async () => {
    await navigator.clipboard.writeText(demo.curl);
    $('copy').textContent = 'Copied';
  });
  demo.nodes.forEach((_, index) => clients.push(new Client(index)));
  look();
}

start();
