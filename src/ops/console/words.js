// What the page calls channels, their names and the types of events: the words of the dialect that operators work on.

import { $, el } from '/console/common.js';

/** Not known yet. */
let words;

const capital = (text) => text.replace(/^./, (first) => first.toUpperCase());

/** A word as a title: `Channel`, or `Name` for what names one. */
export function called(what) {
  if (!words) return what;
  return capital(what === 'Channel' ? words.channel : words.name);
}

/** A channel as people know it: the name alone where its kind goes without saying. */
export function short(channel) {
  const kind = words ? `${words.kind}/` : null;
  return kind && channel?.startsWith(kind) ? channel.slice(kind.length) : channel;
}

/** Puts the words onto the page; `null`: no dialect runs here that operators work on. */
export function speak(said) {
  if (JSON.stringify(said) === JSON.stringify(words)) return;
  words = said;
  const channel = said?.channel ?? 'channel';
  $('lookup-title').textContent = `Look up a ${channel} or a user`;
  $('lookup-by').options[0].textContent = capital(channel);
  if ($('lookup-by').value === 'channel') $('lookup-label').textContent = called('Name');
  $('tail-label').textContent = `Only this ${channel}`;
  $('send-label').textContent = called('Name');
  $('send-about').textContent = `Taken as if a backend had posted it: clients that hold the ${channel} will act on it.`;
  $('send-beside').textContent = `Content beside the ${channel}, as JSON (may be left out)`;
  const types = () => (said?.types ?? []).map((type) => el('option', {}, type));
  $('tail-type').replaceChildren($('tail-type').options[0], ...types());
  $('send-type').replaceChildren(...types());
  $('operate').hidden = !said;
}
