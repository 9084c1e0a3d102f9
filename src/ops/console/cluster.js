// The cluster at a glance: totals, live charts, nodes and warnings, asked for every two seconds while the page is seen.

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
      show(overview);
      told(overview, null);
    } catch (error) {
      if (!(error instanceof ApiError)) console.error(error);
      gap();
      told(null, error);
      // It would be refused again and again: whoever signs in makes it go on.
      if (error.status === 401) return;
    }
    if (!document.hidden) timer = setTimeout(ask, EVERY);
  };
  document.addEventListener('visibilitychange', () => (document.hidden ? clearTimeout(timer) : ask()));
  ask();
  return ask;
}

function show(overview) {
  const now = Date.now();
  const totals = overview.totals ?? {};
  const percentiles = overview.latency ?? {};
  const shards = overview.shards ?? [];
  tiles(totals, overview.nodes ?? []);
  charts.connections.add(now, totals);
  charts.rates.add(now, totals);
  charts.latency.add(now, percentiles);
  charts.shards.figure.hidden = shards.length === 0;
  const names = shards.map((shard) => shard.name).join('\n');
  if (names !== charts.shards.names) {
    charts.shards.names = names;
    charts.shards.setLines(shards.map((shard) => ({ key: shard.name, label: shard.name })));
  }
  charts.shards.add(now, Object.fromEntries(shards.map((s) => [s.name, s.up ? s.round_trip_seconds : null])));
  charts.shards.legend.querySelectorAll('li').forEach((item, n) => item.classList.toggle('down', !shards[n].up));
  warnings(overview.warnings ?? []);
  nodes(overview.nodes ?? [], overview.node);
}

function gap() {
  const now = Date.now();
  for (const chart of Object.values(charts)) if (chart.points.length > 0) chart.add(now, {});
}

const TILES = [
  ['Nodes', null, count],
  ['Connections', 'connections', count],
  ['Subscriptions', 'subscriptions', count],
  ['Libraries held', 'channels', count],
  ['Events/s', 'events_per_second', rate],
  ['Deliveries/s', 'deliveries_per_second', rate],
];

function tiles(totals, list) {
  const tile = ([title, key, format]) =>
    el('div', {}, el('dt', {}, title), el('dd', {}, key ? format(totals[key]) : format(list.length)));
  $('totals').replaceChildren(...TILES.map(tile));
}

function warnings(list) {
  const words = list.map((warning) => `${warning.code}: ${warning.text}`).join('\n');
  const place = $('warnings');
  // Said once, not with every answer.
  if (place.words === words) return;
  place.words = words;
  place.replaceChildren(...list.map((warning) =>
    el('p', { className: 'warning' }, el('strong', {}, 'Warning: '), warning.text)));
}

const COLUMNS = [['Node'], ['State'], ['Connections', true], ['Subscriptions', true], ['Events/s', true],
  ['Deliveries/s', true], ['Shards'], ['Version'], ['Settings'], ['Clock', true], ['Heard']];

function nodes(list, here) {
  const rows = list.map((node) => [
    el('span', {}, el('b', {}, node.name), node.name === here ? ' (this one)' : '', el('br'), el('span', { className: 'quiet' }, node.address ?? '')),
    el('span', {}, phase(node.phase), el('br'), el('span', { className: 'quiet' }, node.started_ms ? `for ${span(Date.now() - node.started_ms)}` : '')),
    count(node.connections), count(node.subscriptions), rate(node.events_per_second), rate(node.deliveries_per_second),
    shards(node.shards ?? [], node.partitions), node.version,
    el('span', { className: 'quiet' }, el('code', { title: 'Fingerprint of the configuration' }, node.configuration ?? '–'), el('br'), 'key ', el('code', { title: 'Fingerprint of JWT_PRIVATE_KEY' }, node.key ?? '–')),
    offset(node.clock_offset_ms), moment(node.seen_ms),
  ]);
  $('nodes').replaceChildren(table('Nodes of the cluster', COLUMNS, rows));
}

function phase(name) {
  const good = name === 'running';
  return el('span', { className: `badge ${good ? 'good' : 'odd'}` }, name ?? '–');
}

function shards(list, partitions) {
  const up = list.filter((shard) => shard.up).length;
  const text = list.length === 0 ? 'no Redis' : `${up} of ${list.length} up`;
  const badge = el('span', { className: `badge ${up === list.length ? 'good' : 'bad'}` }, text);
  return el('span', {}, list.length === 0 ? text : badge, el('br'), el('span', { className: 'quiet' }, `${count(partitions)} partitions`));
}

function offset(ms) {
  if (ms === null || ms === undefined) return '–';
  return `${ms > 0 ? '+' : ms < 0 ? '−' : ''}${count(Math.abs(ms))} ms`;
}
