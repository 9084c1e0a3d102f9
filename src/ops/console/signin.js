// Asks for the password or token when the node wants one. Who leaves the dialog is asked again by the next refusal.

import { onRefused, signIn, signOut, signedIn, wanted } from '/console/api.js';
import { $, answer, during } from '/console/common.js';

/** `done` is called when the node has taken what was given. */
export function start(done) {
  const dialog = $('signin');
  onRefused(() => {
    button();
    $('signin-label').textContent = wanted().replace(/^./, (first) => first.toUpperCase());
    if (dialog.open) return;
    answer($('signin-answer'), '');
    dialog.showModal();
  });
  $('signin-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const field = $('signin-value');
    const secret = field.value;
    field.value = '';
    await during(event.submitter ?? event.target.querySelector('button'), $('signin-answer'), async () => {
      await signIn(secret);
      dialog.close();
      // Where the dialog came up there was nothing to go back to.
      $('main').focus({ preventScroll: true });
      done();
    });
    button();
    if (dialog.open) field.focus();
  });
  $('account').addEventListener('click', () => {
    if (signedIn()) signOut();
    // Nothing of what was seen stays on the page.
    location.reload();
  });
  button();
}

function button() {
  $('account').textContent = signedIn() ? 'Sign out' : 'Sign in';
  $('account').hidden = false;
}

/** The node wants no password: there is nothing to sign into or out of. */
export function unneeded() {
  if (!signedIn()) $('account').hidden = true;
}
