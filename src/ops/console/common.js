// What all parts of the page share: elements, numbers and times.
// Texts are always set as text: nothing that comes from a client can become part of the page.

export const $ = (id) => document.getElementById(id);

/** An element with properties, `aria-` and `data-` attributes, and children. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes('-') || name === 'role' || name === 'scope') element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Shows how something went. `kind`: `good`, `bad` or nothing. */
export function answer(element, text, kind = '') {
  element.textContent = text;
  element.className = `answer ${kind}`;
}

/** Runs an action with its button out of use; a refusal is shown in `place`. */
export async function during(button, place, action) {
  button.disabled = true;
  answer(place, 'One moment…');
  try {
    await action();
  } catch (error) {
    answer(place, error.message, 'bad');
  } finally {
    button.disabled = false;
  }
}

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** A count, as 12,345. */
export const count = (n) => (n === null || n === undefined ? '–' : whole.format(n));

/** A rate: with a decimal where it is small. */
export const rate = (n) => (n === null || n === undefined ? '–' : (Math.abs(n) < 100 ? fine : whole).format(n));

/** A short number for an axis, as 1.2K. */
export const short = (n) => (n !== 0 && Math.abs(n) < 1 ? String(Number(n.toPrecision(2))) : compact.format(n));

/** Seconds as a latency: µs, ms or s. */
export function latency(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  if (seconds === 0) return '0';
  if (seconds < 0.001) return `${Number((seconds * 1e6).toPrecision(3))} µs`;
  if (seconds < 1) return `${Number((seconds * 1e3).toPrecision(3))} ms`;
  return `${Number(seconds.toPrecision(3))} s`;
}

/** Milliseconds as a span of time, in its two largest units. */
export function span(ms) {
  const seconds = Math.round(Math.abs(ms) / 1000);
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const first = parts.findIndex(([unit]) => seconds >= unit);
  if (first < 0) return '0 s';
  let rest = seconds;
  const words = [];
  for (const [unit, name] of parts.slice(first, first + 2)) {
    const n = Math.floor(rest / unit);
    rest -= n * unit;
    if (n > 0) words.push(`${n} ${name}`);
  }
  return words.join(' ');
}

/** When something is, from now: `in 2 h 5 min`, `3 s ago`. */
export function when(ms) {
  if (!ms) return '–';
  const away = ms - Date.now();
  if (Math.abs(away) < 1000) return 'now';
  return away > 0 ? `in ${span(away)}` : `${span(away)} ago`;
}

/** A time of day with milliseconds. */
export function clock(ms) {
  const date = new Date(ms);
  const two = (n) => String(n).padStart(2, '0');
  const millis = String(date.getMilliseconds()).padStart(3, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${millis}`;
}

/** A time as an element whose tooltip is the exact one. */
export function moment(ms) {
  return ms ? el('time', { dateTime: new Date(ms).toISOString(), title: new Date(ms).toLocaleString() }, when(ms)) : '–';
}

/**
 * A table that becomes a list of cards on a narrow screen; the roles stay those of a table then.
 * `columns`: [title, number?]; `rows`: arrays of texts or elements.
 */
export function table(caption, columns, rows) {
  const head = columns.map(([title, number]) =>
    el('th', { scope: 'col', role: 'columnheader', className: number ? 'number' : '' }, title));
  const body = rows.map((cells) => el('tr', { role: 'row' }, ...cells.map((cell, at) => {
    const [title, number] = columns[at];
    const kind = { role: at === 0 ? 'rowheader' : 'cell', className: number ? 'number' : '', 'data-title': title };
    if (at === 0) kind.scope = 'row';
    return el(at === 0 ? 'th' : 'td', kind, el('div', {}, cell ?? '–'));
  })));
  return el('table', { role: 'table' },
    el('caption', { className: 'hidden' }, caption),
    el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, ...head)),
    el('tbody', { role: 'rowgroup' }, ...body));
}
