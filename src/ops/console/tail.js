// Events as they are delivered. At most the last 200 stay on the page; they come onto it a few times a second at most,
// so that neither a screen nor a screen reader drowns.

import { stream } from '/console/api.js';
import { $, answer, clock, count, el } from '/console/common.js';
import { whole } from '/console/words.js';

const KEEP = 200;
const PACE = 300;
const AGAIN = 2_000;

/** What ends the listening that goes on. */
let listening = null;
let waiting = [];
let timer = null;
let seen = 0;

export function start() {
  $('tail-form').addEventListener('submit', (event) => {
    event.preventDefault();
    if (listening) stop('Stopped.');
    else listen();
  });
  for (const id of ['tail-type', 'tail-payload', 'tail-channel']) {
    $(id).addEventListener('change', () => listening && listen());
  }
  $('tail-clear').addEventListener('click', () => {
    $('tail-events').replaceChildren();
    waiting = [];
    seen = 0;
  });
}

/** Whether this node lets contents be seen. */
export function allow(payloads) {
  $('tail-payload').disabled = !payloads;
  $('tail-hidden').hidden = payloads;
}

async function listen() {
  stop('');
  const mine = new AbortController();
  listening = mine;
  const filters = new URLSearchParams();
  const channel = whole($('tail-channel').value.trim());
  if (channel) filters.set('channel', channel);
  if ($('tail-type').value) filters.set('type', $('tail-type').value);
  if ($('tail-payload').checked) filters.set('payload', '1');
  answer($('tail-answer'), 'Connecting…');
  $('tail-go').textContent = 'Stop';
  while (listening === mine) {
    try {
      await stream(`tail?${filters}`, mine.signal, () => answer($('tail-answer'), 'Listening…', 'good'), take);
    } catch (error) {
      if (listening !== mine) return;
      if (error.status) {
        stop(error.message, 'bad');
        return;
      }
    }
    if (listening === mine) answer($('tail-answer'), 'The connection was lost; trying again…', 'bad');
    await new Promise((resume) => setTimeout(resume, AGAIN));
  }
}

function stop(text, kind) {
  listening?.abort();
  listening = null;
  $('tail-go').textContent = 'Listen';
  answer($('tail-answer'), text, kind);
}

function take(event) {
  waiting.push(event);
  seen += 1;
  if (waiting.length > KEEP) waiting.shift();
  timer ??= setTimeout(flush, PACE);
}

function flush() {
  timer = null;
  const list = $('tail-events');
  const bottom = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(...waiting.map(item));
  waiting = [];
  while (list.childElementCount > KEEP) list.firstElementChild.remove();
  // Whoever has scrolled up reads on.
  if (bottom) list.scrollTop = list.scrollHeight;
  if (listening) answer($('tail-answer'), `Listening… ${count(seen)} so far.`, 'good');
}

function item(event) {
  if (event.missed) return el('li', { className: 'quiet' }, `${count(event.missed)} more, too fast for this page`);
  const subscribers = event.subscribers === 1 ? '1 subscriber' : `${count(event.subscribers)} subscribers`;
  const users = event.recipients === 'all' ? 'all' : event.recipients === 1 ? '1 user' : `${count(event.recipients)} users`;
  const whom = `to ${users}, ${subscribers}`;
  const line = el('li', {},
    el('time', { dateTime: new Date(event.at_ms).toISOString() }, clock(event.at_ms)), ' ',
    event.type ? el('b', {}, event.type) : null, event.type ? ' ' : null,
    el('code', {}, event.channel), ' ',
    el('span', { className: 'quiet' }, `${whom}, ${count(event.bytes)} bytes`));
  if (event.payload !== undefined && event.payload !== null) line.append(el('pre', {}, JSON.stringify(event.payload)));
  return line;
}
