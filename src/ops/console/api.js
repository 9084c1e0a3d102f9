// The API, and the password or token it is asked with.
// The latter is kept by this tab alone, for as long as it is open: no cookie, nothing on disk, nothing in an address.

const KEPT = 'foghorn-authorization';

/** A failed request: `status` 0 means that there was no answer at all. */
export class ApiError extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

let authorization = kept();
/** What the node takes: `password`, `token`. */
let accepts = [];
let refused = () => {};

function kept() {
  try {
    return sessionStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

function keep(value) {
  authorization = value;
  try {
    if (value === null) sessionStorage.removeItem(KEPT);
    else sessionStorage.setItem(KEPT, value);
  } catch {
    // A browser that keeps nothing: it holds until the page is left.
  }
}

/** Calls `handler` whenever the node wants another password or token, or one at all. */
export function onRefused(handler) {
  refused = handler;
}

/** Whether this page asks with a password or token. */
export const signedIn = () => authorization !== null;

/** What the node takes, in words. */
export const wanted = () => accepts.join(' or ') || 'password or token';

/** Forgets the password or token. */
export const signOut = () => keep(null);

/** Asks with `secret` from now on, if the node takes it. */
export async function signIn(secret) {
  const bytes = (text) => String.fromCharCode(...new TextEncoder().encode(text));
  const values = { password: `Basic ${btoa(bytes(`foghorn:${secret}`))}`, token: `Bearer ${bytes(secret)}` };
  for (const [n, kind] of accepts.entries()) {
    try {
      keep(values[kind]);
      return await api('overview');
    } catch (error) {
      if (error.status !== 401 || n === accepts.length - 1) throw error;
    }
  }
  return null;
}

/** Asks the API; a body makes it a POST. */
export async function api(path, body) {
  const options = { headers: { Accept: 'application/json' } };
  if (body !== undefined) {
    options.method = 'POST';
    options.headers['Content-Type'] = 'application/json';
    options.body = JSON.stringify(body);
  }
  return parsed(await (await ask(path, options)).text());
}

/**
 * Reads Server-Sent Events until they end. `opened` hears that they begin, `take` gets what each says. Ends with
 * `signal`, or with an error.
 */
export async function stream(path, signal, opened, take) {
  const response = await ask(path, { headers: { Accept: 'text/event-stream' }, signal });
  opened();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) {
      const data = block.split('\n').find((line) => line.startsWith('data: '));
      if (data) take(JSON.parse(data.slice(6)));
    }
  }
}

async function ask(path, options) {
  const headers = new Headers(options.headers);
  const given = authorization;
  if (given !== null) headers.set('Authorization', given);
  let response;
  try {
    // Without the user and password that the page's own address may hold; and the browser is not to ask for any.
    response = await fetch(new URL(`/api/v1/${path}`, location.origin), { ...options, headers, cache: 'no-store', credentials: 'omit' });
  } catch {
    throw new ApiError(0, 'The node does not answer.');
  }
  if (response.ok) return response;
  const text = await response.text();
  const error = new ApiError(response.status, reason(response.status, parsed(text), text));
  if (error.status === 401) {
    if (given === authorization) keep(null);
    refused(error);
  }
  throw error;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function reason(status, answer, text) {
  if (status === 401) {
    accepts = answer?.accepts ?? [];
    return answer?.error === 'wrong_credentials' ? `This ${wanted()} is not the right one.` : `The ${wanted()} is needed: sign in.`;
  }
  const said = answer?.text ?? answer?.error ?? answer?.message ?? text.trim().slice(0, 200);
  return said ? `Refused (${status}): ${said}` : `Refused (${status}).`;
}
