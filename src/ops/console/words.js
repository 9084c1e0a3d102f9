// What the page calls channels, their names and the types of events: the words of the dialect that operators work on, which
// they choose where there are several.

import { $, el } from '/console/common.js';

/** The words of each dialect; not known yet. */
let spoken;
/** Those of the chosen one. */
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

/** A channel as the API knows it: by its kind too, where several dialects have one. */
export function whole(channel) {
  return (spoken?.length ?? 0) < 2 || channel === '' || channel.includes('/') ? channel : `${words.kind}/${channel}`;
}

/** The chosen dialect, where there are several. */
export const dialect = () => ((spoken?.length ?? 0) < 2 ? {} : { dialect: words.dialect });

/** Lets one of these dialects be chosen, if there are several, and puts its words onto the page. */
export function speak(dialects) {
  // A node of a former version, which may answer at the same address as this one, does not tell.
  if (!dialects || JSON.stringify(dialects) === JSON.stringify(spoken)) return;
  spoken = dialects;
  const choice = $('dialect');
  const before = choice.value;
  choice.replaceChildren(...dialects.map((said) => el('option', {}, said.dialect)));
  if (dialects.some((said) => said.dialect === before)) choice.value = before;
  $('dialects').hidden = dialects.length < 2;
  choose();
}

/** `speak` again whenever another dialect is chosen. */
export function start() {
  $('dialect').addEventListener('change', choose);
}

function choose() {
  const said = spoken.find((said) => said.dialect === $('dialect').value);
  words = said;
  const channel = said?.channel ?? 'channel';
  $('lookup-title').textContent = `Look up ${/^[aeiou]/.test(channel) ? 'an' : 'a'} ${channel} or a user`;
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
