// One library, many sockets, a steady stream of events: each socket gets each event, once, in order, soon.
// k6 run --env URL=http://127.0.0.1:8083 --env KEY=... fanout.js

import { check, sleep } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import { setTimeout } from 'k6/timers';
import { connect, eventually, P99_MS, PATIENCE, post, repo, setting } from './foghorn.js';

const DURATION = setting('DURATION', 60);
const VUS = setting('VUS', 4);
const SOCKETS = setting('SOCKETS', 100);
const RATE = setting('RATE', 10);
// Sockets have a quarter of the time to subscribe, events another quarter to arrive.
const EVENTS = Math.max(1, Math.floor((DURATION / 2) * RATE));

const delivery = new Trend('delivery_ms');
const missing = new Counter('deliveries_missing');
const wrong = new Counter('deliveries_twice_or_out_of_order');
const ended = new Counter('sockets_ended_early');

export const options = {
  scenarios: {
    listen: { executor: 'per-vu-iterations', exec: 'listen', vus: VUS, iterations: 1, maxDuration: `${DURATION + 2 * PATIENCE}s` },
    post: { executor: 'per-vu-iterations', exec: 'send', vus: 1, iterations: 1, startTime: `${DURATION / 4}s`, maxDuration: `${DURATION + 2 * PATIENCE}s` },
  },
  thresholds: {
    checks: ['rate==1'],
    delivery_ms: [`p(99)<${P99_MS}`],
    deliveries_missing: ['count==0'],
    deliveries_twice_or_out_of_order: ['count==0'],
    sockets_ended_early: ['count==0'],
  },
};

export function setup() {
  return { run: Date.now() % 2 ** 32 };
}

export function listen({ run }) {
  let over = false;
  const sockets = [];
  for (let s = 0; s < SOCKETS; s++) {
    const one = { got: 0, last: 0, ready: false };
    one.ws = connect([repo(run, 0)], {
      user: `vu${__VU}-${s}@k6`,
      desktop: s % 2 === 0,
      subscribed: () => { one.ready = true; },
      onEnd: () => { if (!over) ended.add(1); },
      onEvent: ({ n, t }) => {
        delivery.add(Date.now() - t);
        if (n <= one.last) wrong.add(1);
        else one.got += 1;
        one.last = Math.max(one.last, n);
      },
    });
    sockets.push(one);
  }
  setTimeout(() => eventually(() => sockets.every((one) => one.ready && one.got >= EVENTS), () => {
    over = true;
    check(sockets, { 'all are subscribed': (all) => all.every((one) => one.ready) });
    sockets.forEach((one) => {
      missing.add(EVENTS - one.got);
      one.ws.close();
    });
  }), DURATION * 1000);
}

export function send({ run }) {
  const begun = Date.now();
  for (let n = 1; n <= EVENTS; n++) {
    check(post(repo(run, 0), n), { 'event accepted': (ok) => ok });
    sleep(Math.max(0, (begun + (n * 1000) / RATE - Date.now()) / 1000));
  }
}
