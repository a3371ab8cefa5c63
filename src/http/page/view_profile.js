// Who the citizen is, where mail goes, and how messages look.

import * as account from './account.js';
import * as api from './api.js';
import { button, fill, h, icon } from './dom.js';
import { t } from './language.js';
import { explain, fail, heading, note, show } from './say.js';

const LANGUAGES = ['it_IT', 'en_GB', 'es_ES', 'de_DE', 'fr_FR'];

function person(profile) {
  const name = [profile.name, profile.family_name].filter(Boolean).join(' ');
  const line = (title, value) => h('div', null, h('dt', null, title), h('dd', null, value));
  return h('section', { class: 'card' }, h('dl', { class: 'person' },
    name && line(t('profile.name'), name), line(t('profile.code'), h('span', { class: 'number' }, profile.fiscal_code))));
}

function emailState(profile) {
  if (!profile.email) return h('p', { class: 'banner attention' }, icon('info'), h('span', null, t('profile.none')));
  if (profile.is_email_validated !== false) return h('p', { class: 'banner done' }, icon('check'), h('span', null, t('profile.validated')));
  const taken = profile.is_email_already_taken === true;
  const again = () => api.validateEmail().then(() => note(t('profile.sentAgain')), (error) => {
    if (error.status === 409) note(t('profile.emailTaken'), { kind: 'wrong' });
    else fail(error);
  });
  return h('div', { class: 'banner attention' }, icon('mail'), h('span', null, t(taken ? 'profile.emailTaken' : 'profile.notValidated')),
    !taken && button(t('profile.sendAgain'), again, { id: 'send-again' }));
}

function email(profile, repaint) {
  const wrong = h('p', { class: 'field-wrong', id: 'email-wrong', role: 'alert' });
  const field = h('input', { type: 'email', id: 'email', name: 'email', value: profile.email ?? '', maxlength: '254', autocomplete: 'email', 'aria-describedby': 'email-hint email-wrong' });
  const submit = h('button', { type: 'submit', class: 'button primary' }, t('profile.emailSave'));
  const refuse = (text) => {
    wrong.textContent = text;
    field.setAttribute('aria-invalid', 'true');
    field.focus();
  };
  const save = async (event) => {
    event.preventDefault();
    const address = field.value.trim();
    if (!/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(address)) return refuse(t('profile.emailWrong'));
    if (address === profile.email) return note(t('app.saved'));
    submit.setAttribute('aria-busy', 'true');
    try {
      await account.change({ email: address });
      note(t(account.known().is_email_validated === false ? 'profile.emailSaved' : 'app.saved'));
      repaint('email');
    } catch (error) {
      if (error.status === 412) refuse(t('profile.emailTaken'));
      else if (error.status === 400) refuse([t('profile.emailWrong'), explain(error).fields].filter(Boolean).join(' '));
      else { fail(error); repaint('email'); }
    } finally {
      submit.removeAttribute('aria-busy');
    }
  };
  return h('section', { class: 'card', 'aria-labelledby': 'email-title' },
    h('h2', { id: 'email-title' }, h('label', { for: 'email' }, t('profile.email'))),
    h('p', { class: 'hint', id: 'email-hint' }, t('profile.emailText')),
    h('form', { class: 'inline', novalidate: true, onsubmit: save }, field, submit), wrong, emailState(profile));
}

/** Saves `fields` and repaints, with the focus where it was. */
async function save(fields, words, repaint, focus) {
  try {
    await account.change(fields);
    note(words);
  } catch (error) {
    fail(error);
  }
  repaint(focus);
}

function languages(profile, repaint) {
  const [first, ...others] = profile.preferred_languages ?? [];
  const choose = (event) => {
    const chosen = event.target.value;
    const rest = [first, ...others].filter((one) => one && one !== chosen);
    save({ preferred_languages: [chosen, ...rest] }, t('profile.languageSaved'), repaint, 'preferred');
  };
  const current = first ?? 'it_IT';
  return h('section', { class: 'card', 'aria-labelledby': 'languages-title' },
    h('h2', { id: 'languages-title' }, h('label', { for: 'preferred' }, t('profile.languages'))),
    h('p', { class: 'hint', id: 'preferred-hint' }, t('profile.languagesText')),
    h('select', { id: 'preferred', onchange: choose, 'aria-describedby': 'preferred-hint' },
      LANGUAGES.map((name) => h('option', { value: name, selected: name === current }, t(`language.${name}`)))));
}

function notifications(profile, repaint) {
  const content = profile.push_notifications_content_type ?? 'ANONYMOUS';
  const option = (name) => h('label', { class: 'option' },
    h('input', { type: 'radio', name: 'push-content', id: `push-${name}`, value: name, checked: content === name,
      onchange: () => save({ push_notifications_content_type: name }, t('app.saved'), repaint, `push-${name}`) }),
    h('span', null, h('strong', null, t(`profile.${name}`)), h('span', { class: 'small' }, t(`profile.${name}Text`))));
  const reminders = h('input', { type: 'checkbox', role: 'switch', id: 'reminders', checked: profile.reminder_status !== 'DISABLED',
    onchange: (event) => save({ reminder_status: event.target.checked ? 'ENABLED' : 'DISABLED' }, t('app.saved'), repaint, 'reminders') });
  return h('section', { class: 'card', 'aria-labelledby': 'push-title' },
    h('h2', { id: 'push-title' }, t('profile.push')),
    h('div', { class: 'options', role: 'radiogroup', 'aria-labelledby': 'push-title' }, option('ANONYMOUS'), option('FULL')),
    h('ul', { class: 'lines' }, h('li', { class: 'line' }, icon('bell'),
      h('label', { for: 'reminders', class: 'line-text' }, h('strong', null, t('profile.reminders')), h('span', { class: 'small' }, t('profile.remindersText'))), reminders)));
}

/** The view. */
export function profileView({ signal }) {
  const body = h('div', { class: 'stack' });
  const content = (profile) => [person(profile), email(profile, repaint), languages(profile, repaint), notifications(profile, repaint)];
  const repaint = async (focus) => {
    if (signal.aborted) return;
    fill(body, content(await account.profile(signal)));
    document.getElementById(focus)?.focus();
  };
  show(body, signal, async () => content(await account.load(signal)));
  return [heading(t('profile.title')), body];
}
