/**
 * A user's inbox in a page: as a WebSocket (`connect`, `useWebsocket`) or as an event stream (`listen`).
 *
 * A connection that ended comes back by itself: later each time, and at once where the browser says that there is a reason to.
 * Whether one lives is judged by the clock, since the timers of hidden pages sleep. There is never more than one at a time.
 */

const FIRST_DELAY = 1_000;
const LONGEST_DELAY = 30_000;
/** A connection that was open for so long was a good one: the delays begin anew. */
const GOOD = 10_000;
/** How long a page that wakes up waits for a sign of life. */
const WAKING = 5_000;
/** A timer that is so much late slept: what came meanwhile may stand behind it. */
const LATE = 2_000;
/** How long a connection may take to come about; over HTTP/2 a browser notices at the second one that the line below is dead. */
const DIALLING = 20_000;
/** How long a browser may take to bring a stream back by itself, the server's `retry` included. */
const PAUSED = 60_000;

const DEFAULTS = {autoReconnect: true, retries: -1, debug: false};

/** What the server closes with where coming back is of no use. */
const isFinal = (code) => code === 1008 || (code >= 4400 && code <= 4499);

/** What both kinds of connection have in common. They add `dial`, `hangUp`, `ask` and `wake`. */
class Line {
  #tries = 0;
  #openedAt = 0;
  #heardAt = 0;
  #askedAt = 0;
  #patience = 0;
  #dueAt = 0;
  #timer;
  #isWanted = false;
  #isOffline = false;
  #isPaused = false;
  #page;

  constructor(options, changed) {
    this.options = {...DEFAULTS, ...options};
    this.changed = changed;
    this.status = "CLOSED";
  }

  open() {
    this.hangUp();
    this.#end("CLOSED");
    this.#isWanted = true;
    this.#isOffline = false;
    this.#tries = 0;
    this.#watchPage();
    this.#begin();
  }

  /** Ends it for good, until it is opened again. */
  close(...how) {
    this.hangUp(...how);
    this.#end("CLOSED");
  }

  opened() {
    this.#openedAt = Date.now();
    this.#become("OPEN");
    this.heard();
    this.#look();
  }

  heard() {
    this.#heardAt = Date.now();
    this.#askedAt = 0;
  }

  /** It ended, and not because the page wanted it to. */
  ended(code) {
    // A callback may have closed it for good.
    if (!this.#isWanted) return;
    if (this.status === "OPEN" && Date.now() - this.#openedAt >= GOOD) this.#tries = 0;
    this.#become("CLOSED");
    this.#wait();
    const {autoReconnect, retries, onFailed} = this.options;
    if (isFinal(code) || (autoReconnect && retries >= 0 && this.#tries >= retries)) {
      this.#end("FAILED");
      this.call(onFailed);
    } else if (!autoReconnect) {
      this.#end("CLOSED");
    } else if (!this.#isOffline) {
      const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#tries) * (0.5 + Math.random() / 2);
      this.#tries += 1;
      this.#wait(delay, () => this.#begin());
    }
  }

  /** The browser brings it back by itself. */
  paused() {
    this.#isPaused = true;
    this.heard();
    this.#become("CONNECTING");
    this.#look();
  }

  /** Asks for a sign of life. */
  probe(patience) {
    this.ask();
    this.#askedAt = Date.now();
    this.#patience = patience;
    this.#look();
  }

  /** Where to connect now: a function is asked each time, since what it puts in may run out. */
  address() {
    return typeof this.url === "function" ? this.url() : this.url;
  }

  isSilent() {
    return Date.now() - this.#heardAt > this.options.interval;
  }

  call(callback, ...values) {
    try {
      callback?.(...values);
    } catch (error) {
      this.log("a callback failed", error);
    }
  }

  log(...words) {
    if (this.options.debug) console.debug("foghorn:", ...words);
  }

  #become(status) {
    if (status === this.status) return;
    this.log(status);
    this.status = status;
    this.changed?.(status);
  }

  #end(status) {
    this.#isWanted = false;
    this.#page?.abort();
    this.#wait();
    this.#become(status);
  }

  #begin() {
    this.#isPaused = false;
    this.#become("CONNECTING");
    this.heard();
    try {
      this.dial();
    } catch (error) {
      // Later it may be different.
      this.log("cannot dial", error);
      return this.ended();
    }
    this.#look();
  }

  #wait(delay, then) {
    clearTimeout(this.#timer);
    this.#dueAt = Date.now() + delay;
    this.#timer = then && setTimeout(then, delay);
  }

  /** Whether it lives, now and when it is to be looked at next. */
  #look() {
    const now = Date.now();
    const {interval, timeout} = this.options;
    const isOpen = this.status === "OPEN";
    const isAsked = isOpen && this.#askedAt > 0;
    // A clock that was put back must not make it wait for ever.
    const since = Math.min(now, isAsked ? this.#askedAt : this.#heardAt);
    if (isOpen && !isAsked && !interval) return this.#wait();
    const patience = isAsked ? this.#patience : isOpen ? interval : this.#isPaused ? PAUSED : DIALLING;
    const left = since + patience - now;
    if (left > 0) return this.#wait(left, () => this.#look());
    if (isOpen && !isAsked) return this.probe(timeout);
    if (isAsked && now - this.#dueAt > LATE) return this.probe(WAKING);
    this.log("nothing was heard");
    this.lost();
  }

  #watchPage() {
    this.#page = new AbortController();
    const on = (target, name, then) => target?.addEventListener(name, then, {signal: this.#page.signal});
    const wake = () => (this.status === "OPEN" ? this.wake() : this.#redial());
    on(globalThis, "online", () => {
      this.#isOffline = false;
      if (this.status === "OPEN") this.wake();
      else if (this.#isWanted) this.#wait(Math.random() * 1_000, () => this.#redial());
    });
    on(globalThis, "offline", () => {
      this.#isOffline = true;
      if (this.status === "CLOSED") this.#wait();
    });
    on(globalThis.document, "visibilitychange", () => document.visibilityState === "visible" && wake());
    on(globalThis.document, "resume", wake);
    on(globalThis, "pagehide", (event) => {
      if (!event.persisted) return;
      this.hangUp();
      this.#isWanted = false;
      this.#wait();
      this.#become("CLOSED");
    });
    on(globalThis, "pageshow", (event) => {
      if (!event.persisted) return;
      this.#isWanted = true;
      this.#isOffline = false;
      this.#redial();
    });
  }

  /** Now, unless it is just doing that. */
  #redial() {
    const isDialling = this.status === "CONNECTING" && !this.#isPaused && Date.now() - this.#heardAt < WAKING;
    if (!this.#isWanted) return;
    if (isDialling) return this.#look();
    this.hangUp();
    this.#begin();
  }
}

class Socket extends Line {
  #socket;
  #waiting = [];
  #bytes = 0;

  constructor(url, options, changed) {
    const buffer = {messages: 100, bytes: 1_048_576, ...options.buffer};
    super({interval: 25_000, timeout: 10_000, heartbeat: true, ...options, buffer}, changed);
    if (!this.options.heartbeat) this.options.interval = 0;
    this.url = url;
  }

  dial() {
    const {options} = this;
    const socket = new WebSocket(this.address());
    this.#socket = socket;
    const isCurrent = () => socket === this.#socket;
    socket.onopen = () => {
      if (!isCurrent()) return;
      this.opened();
      this.call(options.onConnected, socket);
      this.#flush();
    };
    socket.onmessage = (event) => {
      if (!isCurrent()) return;
      this.heard();
      if (options.heartbeat && event.data === "ping") return;
      this.changed?.(this.status, event);
      this.call(options.onMessage, socket, event);
    };
    socket.onerror = (event) => isCurrent() && this.call(options.onError, socket, event);
    socket.onclose = (event) => {
      // One that was hung up says so late, when another may have taken its place.
      if (!isCurrent() && this.#socket) return;
      const was = isCurrent();
      this.#socket = undefined;
      this.call(options.onDisconnected, socket, event);
      // The callback may have opened it anew.
      if (was && !this.#socket) this.ended(event.code);
    };
  }

  hangUp(code = 1000, reason) {
    this.#socket?.close(code, reason);
    this.#socket = undefined;
  }

  close(...how) {
    super.close(...how);
    this.#waiting = [];
    this.#bytes = 0;
  }

  ask() {
    if (this.options.heartbeat) this.#socket.send("ping");
  }

  wake() {
    if (this.options.heartbeat) this.probe(WAKING);
  }

  /** The peer is silent: its goodbye is not waited for. */
  lost() {
    const socket = this.#socket;
    socket.onclose = null;
    this.hangUp();
    this.call(this.options.onDisconnected, socket, new CloseEvent("close", {code: 1006, reason: "nothing was heard"}));
    if (!this.#socket) this.ended(1006);
  }

  send(data) {
    if (this.status === "OPEN") {
      this.#flush();
      this.#socket.send(data);
      return true;
    }
    const size = new Blob([data]).size;
    this.#waiting.push({data, size});
    this.#bytes += size;
    let dropped = 0;
    const {messages, bytes} = this.options.buffer;
    while (this.#waiting.length > messages || this.#bytes > bytes) {
      this.#bytes -= this.#waiting.shift().size;
      dropped += 1;
    }
    if (dropped) this.call(this.options.onDropped, dropped);
    return false;
  }

  #flush() {
    while (this.status === "OPEN" && this.#waiting.length) {
      const {data, size} = this.#waiting.shift();
      this.#bytes -= size;
      this.#socket.send(data);
    }
  }
}

class Stream extends Line {
  #source;
  lastEventId = "";

  constructor(url, options) {
    super({interval: 60_000, timeout: 30_000, ...options});
    this.url = url;
  }

  dial() {
    const {events = {}, onResync, withCredentials = false} = this.options;
    const url = new URL(this.address(), globalThis.location?.href);
    // A header cannot be set on a new one.
    if (this.lastEventId) url.searchParams.set("lastEventId", this.lastEventId);
    const source = new EventSource(url, {withCredentials});
    this.#source = source;
    for (const type of new Set(["connect", "heartbeat", "resync", ...Object.keys(events)])) {
      source.addEventListener(type, (event) => {
        if (source !== this.#source || event.data === undefined) return;
        this.lastEventId = event.lastEventId || this.lastEventId;
        if (this.status === "OPEN") this.heard();
        else this.opened();
        this.call(events[type], event);
        if (type === "resync") this.call(onResync, event);
      });
    }
    source.onerror = () => {
      if (source !== this.#source) return;
      // The browser comes back by itself, unless it gave up.
      if (source.readyState !== 2 && this.options.autoReconnect) return this.paused();
      this.hangUp();
      this.ended();
    };
  }

  hangUp() {
    this.#source?.close();
    this.#source = undefined;
  }

  ask() {}

  wake() {
    if (this.options.interval && this.isSilent()) this.probe(WAKING);
  }

  lost() {
    this.hangUp();
    this.ended();
  }
}

/** Opens a WebSocket and keeps it open. */
export function connect(url, options = {}) {
  const socket = new Socket(url, options);
  socket.open();
  return {
    get status() {
      return socket.status;
    },
    send: (data) => socket.send(data),
    close: (code, reason) => socket.close(code, reason),
    open: () => socket.open(),
  };
}

/** Listens to an event stream and keeps it open. `options.events` has a function for each type of event. */
export function listen(url, options = {}) {
  const stream = new Stream(url, options);
  stream.open();
  return {
    get status() {
      return stream.status;
    },
    get lastEventId() {
      return stream.lastEventId;
    },
    close: () => stream.close(),
  };
}

/** A WebSocket as a composable: opened when it is told so. `options.ref` is Vue's `ref`, where `data` and `status` are to be reactive. */
export function useWebsocket(url, options = {}) {
  const box = options.ref ?? ((value) => ({value}));
  const data = box(null);
  const status = box("CLOSED");
  const socket = new Socket(url, options, (now, event) => {
    status.value = now;
    if (event) data.value = event.data;
  });
  return {
    data,
    status,
    send: (message) => socket.send(message),
    close: (code, reason) => socket.close(code, reason),
    open: () => socket.open(),
  };
}
