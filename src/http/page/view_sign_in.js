// Signing in: a token, checked by asking for the profile.

import * as account from './account.js';
import { h, icon } from './dom.js';
import { t } from './language.js';
import { explain } from './say.js';
import { begin, end } from './session.js';

/** The page before signing in; `reason` says why one is here. */
export function signIn(reason, entered) {
  const wrong = h('p', { class: 'field-wrong', id: 'token-wrong', role: 'alert' });
  const field = h('textarea', {
    id: 'token', name: 'token', rows: '4', required: true, spellcheck: 'false', autocomplete: 'off',
    autocapitalize: 'off', 'aria-describedby': 'token-hint token-wrong',
  });
  const submit = h('button', { type: 'submit', class: 'button primary wide' }, t('signIn.button'));
  const refuse = (text) => {
    wrong.textContent = text;
    field.setAttribute('aria-invalid', 'true');
    field.focus();
  };
  const form = h('form', { novalidate: true, onsubmit: async (event) => {
    event.preventDefault();
    const text = field.value.replace(/\s+/g, '');
    if (!text) return refuse(t('signIn.empty'));
    if (!/^[A-Za-z0-9_.~+/=-]+$/.test(text)) return refuse(t('signIn.expired'));
    submit.setAttribute('aria-busy', 'true');
    begin(text);
    try {
      await account.load();
      entered();
    } catch (error) {
      end('silent');
      const { title, advice } = explain(error);
      refuse([401, 404].includes(error.status) ? t('signIn.expired') : `${title}. ${advice}`);
    } finally {
      submit.removeAttribute('aria-busy');
    }
  } },
  h('div', { class: 'field' }, h('label', { for: 'token' }, t('signIn.token')), field, wrong,
    h('p', { class: 'hint', id: 'token-hint' }, t('signIn.hint'))), submit);
  const good = ['signedOut', 'revoked', 'deleted'].includes(reason);
  const words = reason && h('p', { class: `banner ${good ? 'done' : 'attention'}`, role: 'status' },
    icon(good ? 'check' : 'info'), h('span', null, t(`signIn.${reason}`)));
  return h('main', { id: 'main', class: 'sign-in', tabindex: '-1' },
    h('div', { class: 'card' }, h('div', { class: 'emblem' }, icon('herald')),
      h('h1', { tabindex: '-1' }, t('signIn.title')), h('p', { class: 'lead' }, t('signIn.text')), words, form));
}
