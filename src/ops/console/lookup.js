// Who holds a channel, or what a user holds; and ending their connections, after asking.

import { api } from '/console/api.js';
import { $, answer, count, during, el, moment, table } from '/console/common.js';
import { called, short, whole } from '/console/words.js';

const titles = () => ({ channel: called('Name'), user: 'User' });

export function start() {
  const by = $('lookup-by');
  by.addEventListener('change', () => {
    $('lookup-label').textContent = titles()[by.value];
  });
  $('lookup-form').addEventListener('submit', (event) => {
    event.preventDefault();
    search();
  });
}

function search() {
  const [by, value] = [$('lookup-by').value, $('lookup-value').value.trim()];
  $('lookup-result').replaceChildren();
  return during($('lookup-form').querySelector('button'), $('lookup-answer'), async () => {
    const asked = by === 'channel' ? whole(value) : value;
    show(by, value, await api(`lookup?${new URLSearchParams({ [by]: asked })}`));
  });
}

const columns = () => [['Client'], ['User'], [called('Channel')], ['Connected'], ['Token ends'], ['Action']];

function show(by, value, found) {
  const holders = (found.nodes ?? []).filter((node) => node.clients.length > 0);
  const clients = found.total === 1 ? '1 client' : `${count(found.total)} clients`;
  const on = holders.length === 1 ? '1 node' : `${holders.length} nodes`;
  const more = found.truncated ? ' (not all are shown)' : '';
  answer($('lookup-answer'), found.total === 0 ? 'Nobody holds it.' : `${clients} on ${on}${more}`);
  const parts = holders.flatMap((node) => [
    el('h3', {}, node.node, el('span', { className: 'quiet' }, ` ${count(node.total)}`)),
    el('div', { className: 'wide', role: 'region', tabIndex: 0, 'aria-label': `Clients of ${node.node}` },
      table(`Clients of ${node.node}`, columns(), node.clients.map((client) => row(node.node, client)))),
  ]);
  if (by === 'user' && found.total > 0) parts.unshift(everywhere(value, found.total));
  $('lookup-result').replaceChildren(...parts);
}

function row(node, client) {
  const end = el('button', { type: 'button', className: 'danger small outline', 'aria-label': `Disconnect client ${client.id} of ${node}` }, 'Disconnect');
  const who = client.user || client.address;
  end.addEventListener('click', () =>
    disconnect(`Disconnect the client ${client.id} (${who}) of ${node}? It will connect again by itself.`, { node, id: client.id }));
  return [
    el('span', {}, el('b', {}, client.address ?? ''), el('br'), el('span', { className: 'quiet' }, `${client.kind ?? ''} no. ${client.id}`)),
    client.user || '–', el('code', {}, short(client.channel) || '–'), moment(client.connected_ms), moment(client.expires_ms), end,
  ];
}

function everywhere(user, total) {
  const end = el('button', { type: 'button', className: 'danger', id: 'disconnect-user' }, `Disconnect all of ${user}`);
  end.addEventListener('click', () =>
    disconnect(`Disconnect all clients of ${user} (${count(total)} found), on every node? They will connect again by themselves.`, { user }));
  return el('p', {}, end);
}

async function disconnect(question, whom) {
  if (!(await confirmed(question))) return;
  const place = $('lookup-answer');
  try {
    const { disconnected } = await api('disconnect', whom);
    await search();
    const text = disconnected === 1 ? '1 client was disconnected.' : `${count(disconnected)} clients were disconnected.`;
    answer(place, `${text} ${place.textContent}`, 'good');
  } catch (error) {
    answer(place, error.message, 'bad');
  }
  place.scrollIntoView({ block: 'nearest' });
}

let questions = 0;

function confirmed(question) {
  const dialog = $('confirm');
  const mine = (questions += 1);
  $('confirm-text').textContent = question;
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', function closed() {
      // The end of a question that was left just before may be told when this one is open.
      if (mine === questions && dialog.open) return;
      dialog.removeEventListener('close', closed);
      resolve(mine === questions && dialog.returnValue === 'yes');
    });
  });
}
