/** Where to connect. A function is asked each time, for what may run out, such as a token. */
export type Address = string | URL | (() => string | URL);

/** `CLOSED`: not connected, perhaps about to try again. `FAILED`: given up until it is opened again. */
export type Status = "CLOSED" | "CONNECTING" | "OPEN" | "FAILED";

export interface Options {
  /** Whether a connection that ended comes back by itself; default `true`. */
  autoReconnect?: boolean;
  /** How often it is tried to come back before `onFailed`; default `-1`, for ever. */
  retries?: number;
  /** After so many milliseconds without anything heard a sign of life is due; 0: none ever is. Default 25000 for WebSockets, 60000 for event streams. */
  interval?: number;
  /** So many milliseconds later without anything heard the connection is given up and made anew; default 10000 for WebSockets, 30000 for event streams. */
  timeout?: number;
  /** Whether the console is told what happens; default `false`. */
  debug?: boolean;
  /** It is given up: after `retries`, or because the server said that coming back is of no use. */
  onFailed?: () => void;
}

export interface SocketOptions extends Options {
  /** Whether the text `ping` is sent after `interval`; default `true`. */
  heartbeat?: boolean;
  /** How much waits at most until the connection is open; default 100 messages, 1048576 bytes. The oldest go first. */
  buffer?: {messages?: number; bytes?: number};
  onConnected?: (socket: WebSocket) => void;
  onDisconnected?: (socket: WebSocket, event: CloseEvent) => void;
  onError?: (socket: WebSocket, event: Event) => void;
  onMessage?: (socket: WebSocket, event: MessageEvent) => void;
  /** So many of the messages that waited were given up. */
  onDropped?: (count: number) => void;
}

export type Data = string | ArrayBuffer | ArrayBufferView | Blob;

export interface Connection {
  readonly status: Status;
  /** Sends, or keeps until the connection is open. Whether it went out at once. */
  send(data: Data): boolean;
  /** Ends it; what waited is forgotten. */
  close(code?: number, reason?: string): void;
  /** Connects anew. */
  open(): void;
}

/** Opens a WebSocket and keeps it open. */
export function connect(url: Address, options?: SocketOptions): Connection;

export interface StreamOptions extends Options {
  /** What is called for each type of event. `connect` and `heartbeat` are types too. */
  events?: Record<string, (event: MessageEvent<string>) => void>;
  /** Something may be missing: the page should load its state anew. */
  onResync?: (event: MessageEvent<string>) => void;
  /** Whether cookies are sent to another origin; default `false`. */
  withCredentials?: boolean;
}

export interface Listener {
  readonly status: Status;
  /** The id of what was heard last; empty: nothing was. */
  readonly lastEventId: string;
  close(): void;
}

/** Listens to an event stream and keeps it open. */
export function listen(url: Address, options?: StreamOptions): Listener;

export interface Box<T> {
  value: T;
}

export interface ComposableOptions extends SocketOptions {
  /** Vue's `ref`, where `data` and `status` are to be reactive. */
  ref?: <T>(value: T) => Box<T>;
}

export interface Composable {
  /** What came last. */
  data: Box<unknown>;
  status: Box<Status>;
  send(data: Data): boolean;
  close(code?: number, reason?: string): void;
  open(): void;
}

/** A WebSocket as a composable: closed until it is opened. */
export function useWebsocket(url: Address, options?: ComposableOptions): Composable;
