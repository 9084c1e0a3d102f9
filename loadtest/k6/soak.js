// Sockets with several libraries each that hang up and come back at random, under a steady stream of events: as long as a
// socket stands, it misses nothing, gets nothing twice and nothing out of order.
// k6 run --env URL=http://127.0.0.1:8083 --env KEY=... --env DURATION=1800 soak.js

import { check, sleep } from 'k6';
import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';
import { setTimeout } from 'k6/timers';
import { connect, P99_MS, post, repo, setting } from './foghorn.js';

const DURATION = setting('DURATION', 600);
const VUS = setting('VUS', 4);
const SOCKETS = setting('SOCKETS', 25);
const LIBRARIES = setting('LIBRARIES', 20);
const EACH = Math.min(LIBRARIES, setting('EACH', 3));
const RATE = setting('RATE', 40);
const POSTERS = Math.min(LIBRARIES, setting('POSTERS', 2));
const STAY = setting('STAY', Math.max(5, DURATION / 4));

const delivery = new Trend('delivery_ms');
const events = new Counter('deliveries');
const missing = new Counter('deliveries_missing');
const wrong = new Counter('deliveries_twice_or_out_of_order');
const ended = new Counter('sockets_ended_early');
const again = new Counter('sockets_reconnected');

export const options = {
  scenarios: {
    listen: { executor: 'per-vu-iterations', exec: 'listen', vus: VUS, iterations: 1, maxDuration: `${DURATION + 30}s` },
    post: { executor: 'per-vu-iterations', exec: 'send', vus: POSTERS, iterations: 1, startTime: '2s', maxDuration: `${DURATION + 30}s` },
  },
  thresholds: {
    checks: ['rate==1'],
    // What is told again after a reconnect is as old as it is; only what a standing socket gets is timed.
    delivery_ms: [`p(99)<${P99_MS}`],
    deliveries: ['count>0'],
    deliveries_missing: ['count==0'],
    deliveries_twice_or_out_of_order: ['count==0'],
    sockets_ended_early: ['count==0'],
  },
};

export function setup() {
  return { run: Date.now() % 2 ** 32 };
}

export function listen({ run }) {
  const until = Date.now() + DURATION * 1000;
  for (let s = 0; s < SOCKETS; s++) session(run, s, until);
}

/** One socket's life, and the next one's after it. */
function session(run, s, until) {
  const first = (__VU * SOCKETS + s) * EACH;
  const repos = Array.from({ length: EACH }, (_, j) => repo(run, (first + j) % LIBRARIES));
  const last = {};
  let since = Infinity;
  let over = false;
  const ws = connect(repos, {
    user: `vu${__VU}-${s}@k6`,
    desktop: s % 2 === 0,
    subscribed: () => { since = Date.now(); },
    onEvent: ({ repo_id, n, t }) => {
      events.add(1);
      if (t > since) delivery.add(Date.now() - t);
      if (n <= last[repo_id]) wrong.add(1);
      else if (last[repo_id] !== undefined && n > last[repo_id] + 1) missing.add(n - last[repo_id] - 1);
      last[repo_id] = Math.max(n, last[repo_id] || 0);
    },
    onEnd: () => {
      if (!over) ended.add(1);
      if (Date.now() + 2000 < until) {
        again.add(1);
        setTimeout(() => session(run, s, until), 500 + Math.random() * 1000);
      }
    },
  });
  const stay = Math.min(until - Date.now(), (0.5 + Math.random()) * STAY * 1000);
  setTimeout(() => {
    over = true;
    ws.close();
  }, stay);
}

/** Each poster has its own libraries, so the events of each are posted one after another. */
export function send({ run }) {
  const me = exec.scenario.iterationInTest % POSTERS;
  const mine = Array.from({ length: LIBRARIES }, (_, c) => c).filter((c) => c % POSTERS === me);
  const numbers = {};
  const begun = Date.now();
  const total = Math.floor(((DURATION - 4) * RATE) / POSTERS);
  for (let k = 0; k < total; k++) {
    const c = mine[k % mine.length];
    numbers[c] = (numbers[c] || 0) + 1;
    check(post(repo(run, c), numbers[c]), { 'event accepted': (ok) => ok });
    sleep(Math.max(0, (begun + ((k + 1) * 1000 * POSTERS) / RATE - Date.now()) / 1000));
  }
}
