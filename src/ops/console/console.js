// Starts the page's parts, shows whether the node answers, and switches themes.

import * as cluster from '/console/cluster.js';
import { $ } from '/console/common.js';
import * as lookup from '/console/lookup.js';
import * as signin from '/console/signin.js';
import * as tail from '/console/tail.js';
import * as token from '/console/token.js';
import * as words from '/console/words.js';

const THEMES = ['system', 'light', 'dark'];

function theme(name) {
  if (name === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  $('theme').textContent = `Theme: ${name}`;
}

function remembered() {
  try {
    const name = localStorage.getItem('foghorn-theme');
    return THEMES.includes(name) ? name : 'system';
  } catch {
    return 'system';
  }
}

let chosen = remembered();
theme(chosen);
$('theme').addEventListener('click', () => {
  chosen = THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length];
  theme(chosen);
  try {
    localStorage.setItem('foghorn-theme', chosen);
  } catch {
    // A browser that keeps nothing: the theme holds until the page is left.
  }
});

function state(text, kind) {
  const place = $('state');
  if (place.textContent === text) return;
  place.textContent = text;
  place.className = `state ${kind}`;
}

let ask = () => {};
signin.start(() => ask());
ask = cluster.start((overview, error) => {
  if (error) {
    state(error.status === 401 || error.status === 403 ? error.message : `${error.message} Trying again…`, 'bad');
    return;
  }
  $('node').textContent = overview.node;
  $('version').textContent = overview.version;
  document.title = `${overview.node} · Foghorn console`;
  tail.allow(overview.payloads);
  words.speak(overview.dialects);
  signin.unneeded();
  const well = (overview.condition?.problems ?? []).length === 0;
  state(well ? 'Live' : 'Live: degraded', well ? 'good' : 'bad');
});
words.start();
lookup.start();
tail.start();
token.start();
