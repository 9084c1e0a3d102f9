// Sends a token to be explained, and a test event to be delivered. The token is emptied from its field before it is sent.

import { api } from '/console/api.js';
import { $, answer, during, el, span } from '/console/common.js';
import { dialect, whole } from '/console/words.js';

export function start() {
  $('token-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const token = $('token-value').value.trim();
    $('token-value').value = '';
    $('token-result').replaceChildren();
    during(event.target.querySelector('button'), $('token-answer'), async () => explain(await api('token', { token, ...dialect() })));
  });
  $('send-form').addEventListener('submit', (event) => {
    event.preventDefault();
    during(event.target.querySelector('button'), $('send-answer'), send);
  });
}

function explain(about) {
  const left = about.expires_in_seconds;
  const ends = left === null ? '' : left > 0 ? ` It runs out in ${span(left * 1000)}.` : ` It ran out ${span(left * 1000)} ago.`;
  answer($('token-answer'), about.text + ends, about.valid ? 'good' : 'bad');
  const rows = [
    ['Subscribing', yes(about.uses.subscribe)],
    ['Posting events', yes(about.uses.events)],
    ['Header', json(about.header)],
    [about.valid ? 'Claims' : 'Claims (not to be believed)', json(about.claims)],
  ];
  $('token-result').replaceChildren(el('dl', { className: 'facts' },
    ...rows.flatMap(([title, value]) => [el('dt', {}, title), el('dd', {}, value)])));
}

const yes = (good) => (good ? 'good for it' : 'not good for it');

function json(value) {
  return value === null || value === undefined ? '–' : el('pre', {}, JSON.stringify(value, null, 2));
}

async function send() {
  const text = $('send-content').value.trim();
  const event = { type: $('send-type').value, channel: whole($('send-channel').value.trim()) };
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
