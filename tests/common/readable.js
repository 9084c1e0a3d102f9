// What is hard to read or has no name: text with less contrast than 4.5:1 (3:1 where it is large), controls without a
// label, controls that are too small to hit.
(() => {
  const faults = [];
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((n) => n / 255).map((n) => (n <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255, 255];
  };
  const seen = (element) => element.getClientRects().length > 0 && !element.closest('.hidden, .skip, :disabled');
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !seen(element) || element.closest('script, option, noscript')) continue;
    const style = getComputedStyle(element);
    const color = rgba(element.closest('svg') ? style.fill : style.color);
    const [a, b] = [light(color), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    if (ratio < least) faults.push(`${ratio.toFixed(2)}: "${walker.currentNode.data.trim().slice(0, 30)}"`);
  }
  for (const control of document.querySelectorAll('input, select, textarea, button')) {
    if (!seen(control)) continue;
    const name = control.labels?.[0]?.innerText || control.innerText || control.ariaLabel;
    if (!name) faults.push(`no name: ${control.outerHTML.slice(0, 80)}`);
    const box = control.getBoundingClientRect();
    if (Math.min(box.width, box.height) < 24 && control.type !== 'checkbox') faults.push(`too small: ${name}`);
  }
  const levels = [...document.querySelectorAll('h1, h2, h3, h4')].filter(seen).map((h) => Number(h.tagName[1]));
  levels.forEach((level, n) => n > 0 && level > levels[n - 1] + 1 && faults.push(`heading h${level} after h${levels[n - 1]}`));
  const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
  ids.filter((id, n) => ids.indexOf(id) !== n).forEach((id) => faults.push(`id twice: ${id}`));
  return faults;
})()
