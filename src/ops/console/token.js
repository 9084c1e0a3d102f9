// Sends a token to be explained, and a test event to be delivered. The token is emptied from its field before it is sent.

import { $, answer, api, during, el, span } from '/console/common.js';

export function start() {
  $('token-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const token = $('token-value').value.trim();
    $('token-value').value = '';
    $('token-result').replaceChildren();
    during(event.target.querySelector('button'), $('token-answer'), async () => explain(await api('token', { token })));
  });
  $('send-form').addEventListener('submit', (event) => {
    event.preventDefault();
    during(event.target.querySelector('button'), $('send-answer'), send);
  });
}

function explain(about) {
  const good = about.valid;
  const left = about.expires_in_seconds;
  const ends = left === null || left === undefined ? '' : left > 0 ? ` It is good for another ${span(left * 1000)}.` : ` It ran out ${span(left * 1000)} ago.`;
  answer($('token-answer'), (good ? 'The token is good.' : `Not good: ${about.text ?? about.cause ?? 'refused'}.`) + ends, good ? 'good' : 'bad');
  const uses = about.uses ?? {};
  const rows = [
    ['For subscribing', use(uses.subscribe)],
    ['For posting events', use(uses.events)],
    ['Header', json(about.header)],
    ['Claims', json(about.claims)],
  ];
  $('token-result').replaceChildren(el('dl', { className: 'facts' },
    ...rows.flatMap(([title, value]) => [el('dt', {}, title), el('dd', {}, value)])));
}

function use(value) {
  if (value === true) return 'yes';
  if (value === false || value === null || value === undefined) return 'no';
  return typeof value === 'string' ? value : json(value);
}

function json(value) {
  return value === null || value === undefined ? '–' : el('pre', {}, JSON.stringify(value, null, 2));
}

async function send() {
  const text = $('send-content').value.trim();
  const event = { type: $('send-type').value, library: $('send-library').value.trim() };
  if (text) {
    try {
      event.content = JSON.parse(text);
    } catch (error) {
      $('send-content').focus();
      throw new Error(`The content is not JSON: ${error.message}`);
    }
  }
  await api('events', event);
  answer($('send-answer'), `Accepted at ${new Date().toLocaleTimeString()}.`, 'good');
}
