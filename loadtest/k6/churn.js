// Sockets that subscribe to and unsubscribe from new libraries all the time: pings stay quick, refused tokens are answered,
// and at the end the one library each socket kept still gets its event, while none of the others does.
// k6 run --env URL=http://127.0.0.1:8083 --env KEY=... churn.js

import { check } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import { setTimeout } from 'k6/timers';
import { connect, eventually, P99_MS, PATIENCE, post, repo, setting, subscribe, unsubscribe } from './foghorn.js';

const DURATION = setting('DURATION', 60);
const VUS = setting('VUS', 4);
const SOCKETS = setting('SOCKETS', 10);
const BATCH = setting('BATCH', 5);

const pong = new Trend('pong_ms');
const pairs = new Counter('subscribe_unsubscribe_pairs');
const expired = new Counter('wrong_tokens_answered');
const unexpected = new Counter('messages_unexpected');
const ended = new Counter('sockets_ended_early');

export const options = {
  scenarios: {
    churn: { executor: 'per-vu-iterations', exec: 'churn', vus: VUS, iterations: 1, maxDuration: `${DURATION + 3 * PATIENCE}s` },
  },
  thresholds: {
    checks: ['rate==1'],
    pong_ms: [`p(99)<${P99_MS}`],
    subscribe_unsubscribe_pairs: ['count>0'],
    wrong_tokens_answered: ['count>0'],
    messages_unexpected: ['count==0'],
    sockets_ended_early: ['count==0'],
  },
};

export function setup() {
  return { run: Date.now() % 2 ** 32 };
}

export function churn({ run }) {
  const until = Date.now() + DURATION * 1000 - 4000;
  const sockets = [];
  let over = false;
  for (let s = 0; s < SOCKETS; s++) {
    // Numbers no other socket of this run has.
    const base = (__VU * 1000 + s) * 1e6;
    const one = { kept: repo(run, base), next: base, refused: new Set(), asked: 0, waits: false, got: [] };
    one.user = `vu${__VU}-${s}@k6`;
    one.ws = connect([one.kept], {
      user: one.user,
      onEnd: () => { if (!over) ended.add(1); },
      onEvent: (e) => one.got.push(e),
      onExpired: (id) => {
        if (one.refused.delete(id)) expired.add(1);
        else unexpected.add(1);
      },
    });
    one.ws.addEventListener('pong', () => {
      if (one.asked > 0) pong.add(Date.now() - one.asked);
      one.waits = false;
      if (Date.now() < until) batch(one, run);
    });
    sockets.push(one);
  }
  let posted = false;
  // What was last given up is given up once the ping behind it is answered.
  setTimeout(() => eventually(() => sockets.every((one) => one.asked > 0 && !one.waits), () => {
    sockets.forEach((one) => {
      check(post(one.kept, 1), { 'event of the kept library accepted': (ok) => ok });
      check(post(repo(run, one.next), 1), { 'event of a library given up accepted': (ok) => ok });
    });
    posted = true;
  }), DURATION * 1000 - 2500);
  const done = () => posted && sockets.every((one) => one.got.length > 0 && one.refused.size === 0);
  setTimeout(() => eventually(done, () => {
    over = true;
    check(sockets, {
      'each got the one event of the library it kept': (all) => all.every((o) => o.got.length === 1 && o.got[0].repo_id === o.kept),
      'each wrong token was answered': (all) => all.every((o) => o.refused.size === 0),
    });
    sockets.forEach((one) => one.ws.close());
  }, Date.now() + 2 * PATIENCE * 1000), DURATION * 1000);
}

/** Some pairs, one wrong token, and a ping whose pong says that all of it was read. */
function batch(one, run) {
  for (let i = 0; i < BATCH; i++) {
    one.next += 1;
    const id = repo(run, one.next);
    one.ws.send(subscribe([id], one.user));
    one.ws.send(unsubscribe([id]));
  }
  const never = repo(run, one.next + 5e5);
  one.refused.add(never);
  one.ws.send(subscribe([never], one.user, true));
  pairs.add(BATCH);
  one.asked = Date.now();
  one.waits = true;
  one.ws.ping();
}
