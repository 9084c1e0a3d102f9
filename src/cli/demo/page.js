'use strict';
// Subscribes through one node, as Seafile's web page does, and posts through another by way of the page's own server.
const $ = (id) => document.getElementById(id);
const MOST = 50;
const opened = Date.now();
let demo;

function say(element, text, mood) {
  element.textContent = text;
  element.className = mood || '';
}

function line(strong, soft) {
  const item = document.createElement('li');
  const first = document.createElement('strong');
  const second = document.createElement('span');
  first.textContent = strong;
  second.textContent = soft;
  item.append(first, second);
  return item;
}

function arrived(content) {
  const from = content.posted_to ? `posted to ${content.posted_to}` : 'posted from elsewhere';
  // What was posted before this page was there comes from the nodes' memory; its age says nothing about their speed.
  const took = content.sent_ms >= opened ? `, ${Math.max(0, Date.now() - content.sent_ms)} ms after the click` : '';
  const list = $('events');
  list.prepend(line(content.text || JSON.stringify(content), `${from}, arrived through ${demo.listen}${took}`));
  while (list.children.length > MOST) list.lastChild.remove();
}

async function subscribe(socket) {
  const { token } = await (await fetch('/token')).json();
  const repos = [{ id: demo.library, jwt_token: token }];
  socket.send(JSON.stringify({ type: 'subscribe', content: { repos } }));
}

function connect(pause) {
  const node = demo.nodes.find((node) => node.name === demo.listen);
  const socket = new WebSocket(node.websocket);
  socket.onopen = async () => {
    await subscribe(socket);
    pause = 500;
    say($('status'), `Subscribed through ${node.name}.`, 'good');
    document.body.dataset.subscribed = 'true';
  };
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.type === 'jwt-expired') subscribe(socket);
    else arrived(message.content);
  };
  socket.onclose = () => {
    delete document.body.dataset.subscribed;
    say($('status'), `No connection to ${node.name}; trying again.`, 'bad');
    setTimeout(() => connect(Math.min(pause * 2, 8000)), pause);
  };
}

async function post(event) {
  event.preventDefault();
  const node = $('node').value;
  const body = JSON.stringify({ node, text: $('text').value, sent_ms: Date.now() });
  try {
    const response = await fetch('/publish', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
    const answer = await response.text();
    say($('answer'), response.ok ? `${node} accepted it.` : `${node}: ${answer}`, response.ok ? 'good' : 'bad');
  } catch (error) {
    say($('answer'), 'The demo has ended.', 'bad');
  }
}

async function start() {
  demo = await (await fetch('/demo.json')).json();
  for (const node of demo.nodes) {
    const ours = node.name === demo.listen;
    const item = line(node.name, ours ? `${node.address}, this page listens here` : node.address);
    if (ours) item.className = 'ours';
    $('nodes').append(item);
    $('node').append(new Option(node.name, node.name, false, node.name === demo.post));
  }
  $('curl').textContent = demo.curl;
  $('form').addEventListener('submit', post);
  $('copy').addEventListener('click', async () => {
    await navigator.clipboard.writeText(demo.curl);
    $('copy').textContent = 'Copied';
  });
  connect(500);
}

start();
