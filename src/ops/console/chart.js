// A line chart of the last minutes, drawn as SVG. Its figures are also text: in the legend, and in what screen readers
// hear. Pointer and arrow keys show the figures of a moment.

import { el, span } from '/console/common.js';

const SVG = 'http://www.w3.org/2000/svg';
const HEIGHT = 150;
/** A young chart shows this much time at least, in milliseconds. */
const YOUNG = 30_000;
/** Lines that look different. */
const LOOKS = 4;
const EDGE = { left: 50, right: 10, top: 10, bottom: 20 };

function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** The next number that is round, and whose half is, too. */
function round(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.6, 2, 3, 4, 5, 6, 8, 10].map((n) => n * power).find((n) => n >= value * 0.999);
}

export class Chart {
  /** `lines`: [{key, label}]; `format` makes a figure's text, `axis` a shorter one; `least`: the axis's least height. */
  constructor({ title, lines, format, axis = format, minutes = 15, least = 1 }) {
    Object.assign(this, { title, format, axis, least, window: minutes * 60_000, points: [], at: null });
    this.plot = svg('svg', { class: 'plot', role: 'img', tabindex: '0', height: HEIGHT });
    this.legend = el('ul', { className: 'legend' });
    this.moment = el('span', { className: 'quiet moment' });
    this.spoken = el('p', { className: 'hidden', 'aria-live': 'polite' });
    this.figure = el('figure', { className: 'chart' },
      el('figcaption', {}, el('h3', {}, title, ' ', this.moment), this.legend), this.plot, this.spoken);
    this.setLines(lines);
    new ResizeObserver(() => this.draw()).observe(this.plot);
    this.listen();
  }

  setLines(lines) {
    this.lines = lines;
    this.values = lines.map(() => el('b', {}));
    this.legend.replaceChildren(...lines.map((line, n) =>
      el('li', { className: `line${n % LOOKS}` }, el('span', { className: 'swatch', 'aria-hidden': 'true' }), `${line.label} `, this.values[n])));
  }

  listen() {
    this.plot.addEventListener('pointermove', (event) => {
      const box = this.plot.getBoundingClientRect();
      this.pick(this.nearest(event.clientX - box.left));
    });
    for (const leave of ['pointerleave', 'blur']) this.plot.addEventListener(leave, () => this.pick(null));
    this.plot.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 }[event.key];
      if (!step || this.points.length === 0) return;
      event.preventDefault();
      const last = this.points.length - 1;
      const from = this.at === null ? last : this.points.findIndex((point) => point.at >= this.at);
      this.pick(this.points[Math.min(last, Math.max(0, (from < 0 ? last : from) + step))]);
      this.spoken.textContent = this.words(this.shown());
    });
  }

  /** Shows moments in the place of those that it has from their time on, the oldest first: [{at, values}]. */
  replace(points) {
    if (points.length === 0) return;
    this.points = [...this.points.filter((point) => point.at < points[0].at), ...points];
    this.draw();
  }

  /** Adds the figures of a moment: `values` by the lines' keys; null leaves a gap. */
  add(at, values) {
    this.points.push({ at, values });
    while (this.points.length > 0 && this.points[0].at < at - this.window) this.points.shift();
    this.draw();
  }

  pick(point) {
    this.at = point?.at ?? null;
    this.draw();
  }

  shown() {
    return this.points.find((point) => point.at === this.at) ?? this.points.at(-1);
  }

  nearest(x) {
    const distance = (point) => Math.abs(this.x(point.at) - x);
    return this.points.reduce((best, point) => (best && distance(best) <= distance(point) ? best : point), null);
  }

  words(point) {
    if (!point) return `${this.title}: no figures yet`;
    const figures = this.lines.map((line) => `${line.label} ${this.format(point.values[line.key])}`);
    return `${this.title}, ${this.ago(point)}: ${figures.join(', ')}`;
  }

  ago(point) {
    const seconds = Math.round((this.points.at(-1).at - point.at) / 1000);
    return seconds === 0 ? 'now' : `${seconds} s ago`;
  }

  /** How much time is shown: what there is, up to the window. */
  shownTime() {
    const age = this.points.length > 0 ? this.points.at(-1).at - this.points[0].at : 0;
    return Math.min(this.window, Math.max(YOUNG, age));
  }

  x(at) {
    const end = this.points.at(-1)?.at ?? 0;
    return EDGE.left + (1 - (end - at) / this.shownTime()) * (this.width - EDGE.left - EDGE.right);
  }

  y(value) {
    return EDGE.top + (1 - value / this.top) * (HEIGHT - EDGE.top - EDGE.bottom);
  }

  draw() {
    this.width = this.plot.clientWidth || 300;
    const all = this.points.flatMap((point) => this.lines.map((line) => point.values[line.key] ?? 0));
    this.top = round(Math.max(this.least, ...all));
    this.plot.setAttribute('viewBox', `0 0 ${this.width} ${HEIGHT}`);
    this.plot.setAttribute('aria-label', this.words(this.points.at(-1)));
    this.plot.replaceChildren(...this.grid(), ...this.lines.map((line, n) => this.line(line, n)), ...this.cross());
    const point = this.shown();
    this.moment.textContent = point && this.at !== null ? this.ago(point) : '';
    this.lines.forEach((line, n) => {
      this.values[n].textContent = point ? this.format(point.values[line.key]) : '–';
    });
  }

  grid() {
    const right = this.width - EDGE.right;
    const rows = [0, 0.5, 1].flatMap((part) => {
      const y = this.y(this.top * part);
      const label = svg('text', { x: EDGE.left - 6, y: y + 4, 'text-anchor': 'end' }, this.axis(this.top * part));
      return [svg('line', { class: 'grid', x1: EDGE.left, x2: right, y1: y, y2: y }), label];
    });
    const below = { y: HEIGHT - 4 };
    return [...rows,
      svg('text', { x: EDGE.left, ...below }, `${span(this.shownTime())} ago`),
      svg('text', { x: right, 'text-anchor': 'end', ...below }, 'now')];
  }

  line(line, n) {
    let path = '';
    let pen = false;
    for (const { at, values } of this.points) {
      const value = values[line.key];
      if (value === null || value === undefined) {
        pen = false;
        continue;
      }
      path += `${pen ? 'L' : 'M'}${this.x(at).toFixed(1)} ${this.y(value).toFixed(1)}`;
      pen = true;
    }
    return svg('path', { class: `line line${n % LOOKS}`, d: path });
  }

  cross() {
    const point = this.at === null ? null : this.shown();
    if (!point) return [];
    const x = this.x(point.at);
    const dots = this.lines.map((line, n) => [point.values[line.key], n]).filter(([value]) => value !== null && value !== undefined);
    return [svg('line', { class: 'cross', x1: x, x2: x, y1: EDGE.top, y2: HEIGHT - EDGE.bottom }),
      ...dots.map(([value, n]) => svg('circle', { class: `dot line${n % LOOKS}`, cx: x, cy: this.y(value), r: 3.5 }))];
  }
}
