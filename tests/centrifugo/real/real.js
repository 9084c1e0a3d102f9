// PATIENCE=1 node real.js http://127.0.0.1:8000 ws|websocket|xhr-streaming|xhr-polling|eventsource [secret [url-of-a-server-with-connection_lifetime-3]]
const crypto = require('crypto'), http = require('http');
const [base, transport, secret = 'secret', lifetimeBase] = process.argv.slice(2);
// What the server is to agree on: `EXTENSIONS=permessage-deflate`, or nothing.
global.WebSocket = class extends require('ws') {
  constructor(...args) {
    super(...args);
    this.addEventListener('open', () => {
      if (this.extensions !== (process.env.EXTENSIONS || '')) { console.error('agreed on', this.extensions); process.exit(1); }
    });
  }
};
const Centrifuge = require('centrifuge'), SockJS = require('sockjs-client');
const run = crypto.randomBytes(4).toString('hex'), names = new Map();
const hmac = (...parts) => crypto.createHmac('sha256', secret).update(parts.join('')).digest('hex');
const now = () => String(Math.floor(Date.now() / 1000));
// On a machine that has other things to do all takes longer.
const patience = process.env.PATIENCE || 1, wait = ms => new Promise(done => setTimeout(done, ms * patience));
// Waits, and once more where this program or the server stood still meanwhile.
const sleep = async ms => {
  for (let again = 0; again < 5; again++) {
    const began = Date.now();
    await wait(ms); await api({method: 'channels', params: {}});
    if (Date.now() - began < ms * patience + 500) return;
  }
};
const masked = v => JSON.stringify(v, (k, x) => k === 'uid' ? 'UID' : x).replaceAll(run, 'RUN')
  .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, id => names.get(id) || 'ID');
const say = (...words) => console.log(words.map(w => typeof w === 'string' ? w : masked(w)).join(' '));
const api = commands => new Promise((done, fail) => {
  const body = JSON.stringify(commands);
  http.request(base + '/api/', {method: 'POST', headers: {'Content-Type': 'application/json', 'X-API-Sign': hmac(body)}}, res => {
    let text = '';
    res.on('data', d => text += d).on('end', () => done(JSON.parse(text)));
  }).on('error', fail).end(body);
});
function client(name, user, more = {}, at = base) {
  const timestamp = now(), info = JSON.stringify({name});
  const grant = (client, channel) => ({info: '{"role":"x"}', sign: hmac(client, channel, '{"role":"x"}')});
  const where = transport === 'ws' ? {url: at.replace('http', 'ws') + '/connection/websocket'} : {url: at + '/connection', sockJS: SockJS, transports: [transport]};
  const c = new Centrifuge({...where, user, timestamp, info, token: hmac(user, timestamp, info), retry: 200 * patience, maxRetry: 500 * patience,
    onPrivateChannelAuth: ({data}, answer) => answer(false, Object.fromEntries(data.channels.map(ch => [ch, grant(data.client, ch)]))), ...more});
  c.on('connect', x => { names.set(x.client, name + '-ID'); say(name, 'connect', x.transport); });
  c.on('disconnect', x => say(name, 'disconnect', x));
  c.on('error', x => say(name, 'error', x.message));
  return c;
}
const heard = (name, sub) => { for (const e of ['message', 'join', 'leave', 'subscribe', 'unsubscribe', 'error']) sub.on(e, x => say(name, e, x)); return sub; };
const ask = (name, what, promise) => promise.then(x => say(name, what, x), x => say(name, what, 'failed', x));
(async () => {
  const room = 'public:room' + run;
  say('# connect, subscribe, publish, presence, history');
  const a = client('ann', 'u1' + run); a.connect(); await sleep(500);
  const s = heard('ann', a.subscribe(room)); await sleep(200);
  await ask('ann', 'publish', s.publish({text: 'hi <b>'})); await sleep(200);
  await ask('ann', 'presence', s.presence()); await ask('ann', 'history', s.history());
  say('# a second client: join, leave');
  const b = client('bob', 'u2' + run); b.connect(); await sleep(500);
  const t = b.subscribe(room); await sleep(200); t.unsubscribe(); await sleep(200); b.disconnect(); await sleep(200);
  say('# HTTP API publish, with a client id');
  say('api', await api({method: 'publish', params: {channel: room, data: [1], client: 'some-client'}})); await sleep(200);
  say('# private channel; refusals');
  await ask('ann', 'presence', heard('ann', a.subscribe('$public:own' + run)).presence());
  heard('ann', a.subscribe('nope:x')); await sleep(200);
  const plain = heard('ann', a.subscribe('plain' + run)); await sleep(200);
  await ask('ann', 'presence', plain.presence()); await ask('ann', 'history', plain.history()); await ask('ann', 'publish', plain.publish({}));
  say('# batching');
  a.startBatching(); heard('ann', a.subscribe('one' + run)); heard('ann', a.subscribe('two' + run)); a.ping(); a.stopBatching(true); await sleep(300);
  say('# connection lost, messages missed, recovered');
  for (const ch of ['$public:own' + run, 'nope:x', 'plain' + run, 'one' + run, 'two' + run]) { const sub = a.subscribe(ch); sub.unsubscribe(); sub.removeEvent(); }
  await sleep(300); a._transport.close(); await wait(100);
  await api([{method: 'publish', params: {channel: room, data: 'missed 1'}}, {method: 'publish', params: {channel: room, data: 'missed 2'}}]); await sleep(1500);
  say('# unsubscribe and disconnect over the API');
  say('api', await api({method: 'unsubscribe', params: {channel: room, user: 'u1' + run}})); await sleep(200);
  say('api', await api({method: 'disconnect', params: {user: 'u1' + run}})); await sleep(1000); say('ann is', a.isConnected() ? 'connected' : 'not connected');
  say('# wrong token');
  client('eve', 'u3', {token: '0'.repeat(64)}).connect(); await sleep(1000);
  if (lifetimeBase) {
    say('# connection_lifetime: expired credentials, then refreshed');
    const old = '1500000000', info = JSON.stringify({name: 'zed'});
    const z = client('zed', 'u4', {timestamp: old, token: hmac('u4', old, info), refreshInterval: 200, onRefresh: async (x, answer) => {
      const timestamp = now();
      say('zed is given credentials');
      // Given them at once, it would make the next connection, and then take the end of the former one for the end of that.
      while (!z.isConnected() && !z._transportClosed) await wait(10);
      answer(false, {user: 'u4', timestamp, info, token: hmac('u4', timestamp, info)});
    }}, lifetimeBase);
    z.on('connect', x => setTimeout(() => say('zed is', z.isConnected() ? 'connected' : 'not connected', 'after 6 s'), 6000 * patience));
    z.connect(); await sleep(8000);
  }
  process.exit(0);
})();
