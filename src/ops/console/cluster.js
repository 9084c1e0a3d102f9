// The cluster at a glance: its condition, totals, live charts and nodes, asked for every two seconds while the page is seen.

import { ApiError, api } from '/console/api.js';
import { Chart } from '/console/chart.js';
import { $, count, el, latency, moment, rate, short, span, table } from '/console/common.js';

const EVERY = 2_000;

const charts = {
  connections: new Chart({
    title: 'Connections', format: count, axis: short, least: 4,
    lines: [{ key: 'connections', label: 'Connections' }],
  }),
  rates: new Chart({
    title: 'Events/s and deliveries/s', format: rate, axis: short,
    lines: [{ key: 'deliveries_per_second', label: 'Deliveries' }, { key: 'events_per_second', label: 'Events' }],
  }),
  latency: new Chart({
    title: 'Delivery latency, this node', format: latency, axis: latency, least: 0.001,
    lines: [{ key: 'p99', label: '99 %' }, { key: 'p90', label: '90 %' }, { key: 'p50', label: 'Half' }],
  }),
  shards: new Chart({ title: 'Redis round trip', format: latency, axis: latency, least: 0.001, lines: [] }),
};

/** Starts asking. `told` hears how it goes: an overview, or an error. Gives what asks at once. */
export function start(told) {
  $('charts').append(charts.connections.figure, charts.rates.figure, charts.latency.figure, charts.shards.figure);
  let timer = null;
  const ask = async () => {
    clearTimeout(timer);
    try {
      const overview = await api('overview');
      await remember(overview.now_ms);
      show(overview);
      told(overview, null);
    } catch (error) {
      if (!(error instanceof ApiError)) console.error(error);
      gap();
      stale();
      told(null, error);
      // It would be refused again and again: whoever signs in makes it go on.
      if (error.status === 401) return;
    }
    if (!document.hidden) timer = setTimeout(ask, EVERY);
  };
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return clearTimeout(timer);
    // The node knows what was while nobody looked.
    remembered = false;
    return ask();
  });
  ask();
  return ask;
}

function show(overview) {
  const now = Date.now();
  answered = now;
  $('cluster').classList.remove('stale');
  $('stale').hidden = true;
  const totals = overview.totals ?? {};
  const percentiles = overview.latency ?? {};
  const shards = overview.shards ?? [];
  tiles(totals, overview.nodes ?? [], overview.lost ?? []);
  charts.shards.figure.hidden = shards.length === 0;
  const names = shards.map((shard) => shard.name).join('\n');
  if (names !== charts.shards.names) {
    charts.shards.names = names;
    charts.shards.setLines(shards.map((shard) => ({ key: shard.name, label: shard.name })));
  }
  charts.connections.add(now, totals);
  charts.rates.add(now, totals);
  charts.latency.add(now, percentiles);
  charts.shards.add(now, Object.fromEntries(shards.map((s) => [s.name, s.up ? s.round_trip_seconds : null])));
  charts.shards.legend.querySelectorAll('li').forEach((item, n) => item.classList.toggle('down', !shards[n].up));
  condition(overview.condition ?? {}, overview.nodes ?? []);
  nodes(overview.nodes ?? [], overview.lost ?? [], overview.node);
}

/** Whether what was before the page was opened is on it. */
let remembered = false;

/** Puts what the node remembers before what the page sees. `now_ms` is the node's clock: the page's may be another one. */
async function remember(now_ms) {
  if (remembered) return;
  remembered = true;
  const { moments } = await api('history').catch((error) => {
    // What is now matters more; and whoever has to sign in is asked anyway.
    if (error.status === 401) remembered = false;
    return { moments: [] };
  });
  const ahead = Date.now() - now_ms;
  const points = (figures) => moments.map((moment) => ({ at: moment.at_ms + ahead, values: figures(moment) }));
  charts.connections.replace(points((moment) => moment.totals));
  charts.rates.replace(points((moment) => moment.totals));
  charts.latency.replace(points((moment) => moment.latency));
  charts.shards.replace(points((moment) => moment.shards));
}

/** When the figures that are shown came. */
let answered = null;

/** The node does not answer: what is still shown was so, and says since when. */
function stale() {
  if (answered === null) return;
  $('cluster').classList.add('stale');
  $('stale-since').replaceChildren(moment(answered));
  $('stale').hidden = false;
}

function gap() {
  const now = Date.now();
  for (const chart of Object.values(charts)) if (chart.points.length > 0) chart.add(now, {});
}

const TILES = [
  ['Nodes', null, count],
  ['Connections', 'connections', count],
  ['Subscriptions', 'subscriptions', count],
  ['Channels held', 'channels', count],
  ['Events/s', 'events_per_second', rate],
  ['Deliveries/s', 'deliveries_per_second', rate],
];

function tiles(totals, list, lost) {
  const there = lost.length > 0 ? `${count(list.length)} (${count(lost.length)} lost)` : count(list.length);
  const tile = ([title, key, format]) =>
    el('div', {}, el('dt', {}, title), el('dd', {}, key ? format(totals[key]) : there));
  $('totals').replaceChildren(...TILES.map(tile));
}

/** The one line that says how it is; and what is wrong, whom it hurts, what to do. */
function condition({ problems = [], since_ms }, list) {
  const well = problems.length === 0;
  const redis = list.some((node) => (node.shards ?? []).length > 0) ? ', Redis answers all of them' : '';
  const state = well ? `All is well: ${count(list.length)} ${list.length === 1 ? 'node' : 'nodes'}${redis}.` : 'Degraded';
  const place = $('condition');
  place.hidden = false;
  place.className = `condition ${well ? 'good' : 'bad'}`;
  if ($('condition-state').textContent !== state) $('condition-state').textContent = state;
  $('condition-since').replaceChildren(...(well || !since_ms ? [] : ['since ', moment(since_ms)]));
  const words = problems.map((problem) => [problem.what, problem.whom, problem.mend].join('\n')).join('\n');
  // Said once, not with every answer.
  if (place.words === words) return;
  place.words = words;
  const line = (title, text) => (text ? el('p', {}, el('span', { className: 'quiet' }, title), ' ', ...coded(text)) : null);
  $('problems').replaceChildren(...problems.map((problem) => el('li', { className: 'warning' },
    el('p', {}, el('strong', {}, problem.what)), line('Whom it hurts:', problem.whom), line('What to do:', problem.mend))));
}

const COLUMNS = [['Node'], ['State'], ['Connections', true], ['Subscriptions', true], ['Events/s', true],
  ['Deliveries/s', true], ['CPU, memory', true], ['Last 15 min', true], ['Shards'], ['Version, settings'], ['Heard, clock']];

function nodes(list, lost, here) {
  const rows = [...list, ...lost].map((node) => [
    el('span', {}, named(node, list.find((other) => other.name === here)), el('br'), el('span', { className: 'quiet' }, node.address ?? '')),
    el('span', {}, phase(node), el('br'), el('span', { className: 'quiet' }, age(node))),
    // What a lost node had is not there any more.
    ...(node.lost_ms ? ['–', '–', '–', '–', '–', '–', '–'] : [
      count(node.connections), count(node.subscriptions), rate(node.events_per_second), rate(node.deliveries_per_second),
      el('span', {}, cores(node.cpu_cores), el('br'), bytes(node.memory_bytes)), incidents(node.lately),
      shards(node.shards ?? [], node.partitions),
    ]),
    el('span', { className: 'quiet' }, node.version, el('br'), el('code', { title: 'Fingerprint of the configuration' }, node.configuration ?? '–'), el('br'), 'key ', el('code', { title: 'Fingerprint of JWT_PRIVATE_KEY' }, node.key ?? '–')),
    el('span', {}, moment(node.seen_ms), el('br'), el('span', { className: 'quiet' }, offset(node.clock_offset_ms))),
  ]);
  const made = table('Nodes of the cluster', COLUMNS, rows);
  made.querySelectorAll('tbody tr').forEach((row, n) => row.classList.toggle('stale', n >= list.length || silent(list[n])));
  $('nodes').replaceChildren(made);
}

const local = (host) => host === 'localhost' || host === '[::1]' || host.startsWith('127.');

/** Whether a node's console is where it says: an address of its own machine only means this one where both are on it. */
function reachable(node, own) {
  if (!/^https?:/.test(node.ops_url ?? '')) return false;
  const url = new URL(node.ops_url);
  const host = (address) => (address ?? '').replace(/:\d+$/, '');
  return !local(url.hostname) || (local(location.hostname) && host(node.address) === host(own?.address) && url.port !== location.port);
}

/** Its name, and the way to its own console. */
function named(node, own) {
  const name = el('b', {}, node.name);
  if (node.name === own?.name) return el('span', {}, name, ' (this one)');
  if (node.lost_ms || !reachable(node, own)) return name;
  return el('a', { href: `${node.ops_url}/console`, rel: 'noopener' }, name);
}

/** A text whose parts between backticks are commands. */
const coded = (text) => text.split('`').map((part, at) => (at % 2 === 1 ? el('code', {}, part) : part));

/** A node that says nothing for longer than this, in milliseconds, is no longer taken at its last word. */
const SILENT = 5_000;

const silent = (node) => Boolean(node.seen_ms) && Date.now() - node.seen_ms > SILENT;

function phase(node) {
  if (node.lost_ms) return el('span', { className: 'badge bad' }, 'lost');
  if (silent(node)) return el('span', { className: 'badge odd' }, 'silent');
  return el('span', { className: `badge ${node.phase === 'running' ? 'good' : 'odd'}` }, node.phase ?? '–');
}

function age(node) {
  if (node.lost_ms) return el('span', {}, 'noticed ', moment(node.lost_ms));
  return node.started_ms ? `for ${span(Date.now() - node.started_ms)}` : '';
}

function shards(list, partitions) {
  const up = list.filter((shard) => shard.up).length;
  const text = list.length === 0 ? 'no Redis' : `${up} of ${list.length} up`;
  const badge = el('span', { className: `badge ${up === list.length ? 'good' : 'bad'}` }, text);
  return el('span', {}, list.length === 0 ? text : badge, el('br'), el('span', { className: 'quiet' }, `${count(partitions)} partitions`));
}

/** A hundred per cent is one core. */
function cores(share) {
  return share === null || share === undefined ? '–' : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}

function bytes(size) {
  return size === null || size === undefined ? '–' : `${count(Math.round(size / 1_048_576))} MiB`;
}

/** What went wrong there lately; a node of an older version does not tell. */
function incidents(lately) {
  if (!lately) return '–';
  const line = (key) => {
    const n = lately[key] ?? 0;
    const text = `${count(n)} ${n === 1 ? key.slice(0, -1) : key}`;
    // Somebody is refused wherever there is an Internet.
    return el('span', { className: n > 0 && key !== 'refusals' ? 'badge odd' : '' }, text);
  };
  return el('span', {}, line('drops'), el('br'), line('refusals'), el('br'), line('resyncs'));
}

function offset(ms) {
  if (ms === null || ms === undefined) return '–';
  return `${ms > 0 ? '+' : ms < 0 ? '−' : ''}${count(Math.abs(ms))} ms`;
}
