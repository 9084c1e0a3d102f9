// What the scripts share: settings, tokens, and a client that subscribes.
//
// Settings come from the environment (k6 run --env NAME=VALUE):
//   URL       where clients connect               http://127.0.0.1:8083
//   KEY       the key that signs tokens           (the conformance suite's)
//   DURATION  seconds in all                      each script's own
//   VUS       virtual users                       each script's own
//   SOCKETS   sockets of each virtual user        each script's own
//   P99_MS    the slowest hundredth may take so many milliseconds   1000
//   I_OWN_THIS_HOST=1 allows a URL that is not this machine's loopback

import crypto from 'k6/crypto';
import encoding from 'k6/encoding';
import http from 'k6/http';
import { setTimeout } from 'k6/timers';
import { WebSocket } from 'k6/websockets';

export const URL = (__ENV.URL || 'http://127.0.0.1:8083').replace(/\/+$/, '');
const KEY = __ENV.KEY || 'testkey-testkey-testkey-testkey-00';
export const P99_MS = setting('P99_MS', 1000);
/** Seconds that what must come is waited for beyond its time, on a machine that stood still. */
export const PATIENCE = 60;

if (!/^http:\/\/(127(\.\d+){3}|localhost|\[::1\])(:\d+)?(\/|$)/.test(URL) && __ENV.I_OWN_THIS_HOST !== '1') {
  throw new Error(`${URL} is not this machine's loopback; if that host is yours, set I_OWN_THIS_HOST=1`);
}

/** A number from the environment. */
export function setting(name, fallback) {
  const n = Number(__ENV[name] || fallback);
  if (!Number.isFinite(n) || n <= 0) throw new Error(`${name} must be a positive number`);
  return n;
}

function token(claims) {
  const text = encoding.b64encode(JSON.stringify({ alg: 'HS256', typ: 'JWT' }), 'rawurl')
    + '.' + encoding.b64encode(JSON.stringify(claims), 'rawurl');
  return text + '.' + crypto.hmac('sha256', KEY, text, 'base64rawurl');
}

const inSeconds = (s) => Math.floor(Date.now() / 1000) + s;

/** Calls `then` once `ready` says so, and in any case when the patience is over. */
export function eventually(ready, then, until = Date.now() + PATIENCE * 1000) {
  if (ready() || Date.now() > until) then();
  else setTimeout(() => eventually(ready, then, until), 100);
}

/** The id of library `n` of a run; runs do not meet. */
export function repo(run, n) {
  const hex = (x, digits) => Math.floor(x).toString(16).padStart(digits, '0').slice(-digits);
  return `${hex(run, 8)}-0000-4000-9000-${hex(n, 12)}`;
}

/** The text that subscribes to libraries. `wrong`: with tokens that are for another one. */
export function subscribe(repos, user, wrong = false) {
  const entry = (id) => ({
    id,
    jwt_token: token({ exp: inSeconds(3600), repo_id: wrong ? `${id}-not` : id, username: user }),
  });
  return JSON.stringify({ type: 'subscribe', content: { repos: repos.map(entry) } });
}

/** The text that gives up libraries. */
export function unsubscribe(repos) {
  return JSON.stringify({ type: 'unsubscribe', content: { repos: repos.map((id) => ({ id })) } });
}

/** Posts event number `n` of a library; true when it was accepted. */
export function post(id, n) {
  const commit = crypto.sha1(`${id} ${n}`, 'hex');
  const body = { type: 'repo-update', content: { repo_id: id, commit_id: commit, n, t: Date.now() } };
  const headers = { Authorization: `Token ${token({ exp: inSeconds(300) })}`, 'Content-Type': 'application/json' };
  return http.post(`${URL}/events`, JSON.stringify(body), { headers, timeout: `${PATIENCE}s` }).status === 200;
}

/**
 * Opens a socket, as a desktop client or a web page does. The socket gets `subscribed`, a callback that is called when a
 * ping sent behind the subscription was answered, that is, when the server has read it.
 */
export function connect(repos, { user, desktop = true, onEvent, onExpired = () => {}, onEnd = () => {}, subscribed = () => {} }) {
  const agent = desktop ? 'Seafile/9.0.5 (Linux)' : 'Mozilla/5.0 (X11; Linux x86_64)';
  const ws = new WebSocket(`${URL.replace(/^http/, 'ws')}/`, desktop ? 'notification.seafile.com' : null, {
    headers: { 'User-Agent': agent },
  });
  let first = true;
  ws.addEventListener('open', () => {
    ws.send(subscribe(repos, user));
    ws.ping();
  });
  ws.addEventListener('pong', () => {
    if (first) subscribed();
    first = false;
  });
  ws.addEventListener('message', (m) => {
    const { type, content } = JSON.parse(m.data);
    if (type === 'jwt-expired') onExpired(content.repo_id);
    else onEvent(content);
  });
  ws.addEventListener('close', onEnd);
  ws.addEventListener('error', () => {});
  return ws;
}
