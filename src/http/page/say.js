// What the page says beyond its content: notes that pass, errors that stay,
// questions that wait for an answer.

import { add, button, fill, h, icon } from './dom.js';
import { t } from './language.js';

/** Milliseconds for which a note stays. */
const NOTE = 6_000;
/** Notes at one time. */
const MOST_NOTES = 3;

/** Tells screen readers alone. */
export function announce(text) {
  const place = document.getElementById('polite');
  place.textContent = '';
  // Two equal texts in a row are told twice.
  setTimeout(() => { place.textContent = text; }, 50);
}

/** Shows and tells a note; `act` is an optional {label, action}. */
export function note(text, { kind = 'done', act } = {}) {
  const place = document.getElementById('notes');
  while (place.children.length >= MOST_NOTES) place.firstChild.remove();
  const remove = () => element.remove();
  const element = h('div', { class: `note ${kind}` }, icon(kind === 'done' ? 'check' : 'alert'), h('p', null, text),
    act && button(act.label, async () => { remove(); await act.action(); }, { kind: 'bare' }));
  place.append(element);
  announce(text);
  // A note with something to do stays longer, and while it has the focus.
  const leave = () => (element.contains(document.activeElement) ? setTimeout(leave, NOTE) : remove());
  setTimeout(leave, act ? 2 * NOTE : NOTE);
}

/** An error in words: what happened and what to do. */
export function explain(error) {
  const known = [0, 400, 401, 403, 404, 409, 412, 429, 500, 503];
  const status = error.status ?? 0;
  let name = status === 0 ? 'offline' : String(status);
  if (status !== 0 && !known.includes(status)) name = status >= 500 ? '503' : '400';
  if (error.status === undefined) name = '500';
  if (error.type?.endsWith(':limit-reached')) name = 'limit';
  const wait = error.retryAfter ? ` ${t('error.wait', { seconds: error.retryAfter })}` : '';
  // Names of refused fields are the API's own and help whoever is asked for help.
  const fields = (error.errors ?? []).map((field) => `${field.field}: ${field.reason}`).join('; ');
  return { title: t(`error.${name}`), advice: t(`error.${name}Text`) + wait, fields };
}

/** Says that something failed. */
export function fail(error) {
  if (error.name === 'AbortError' || error.status === 401) return;
  if (error.status === undefined) console.error(error);
  const { title, advice, fields } = explain(error);
  note([title, advice, fields].filter(Boolean).join('. ').replace(/([.!?…])\. /g, '$1 '), { kind: 'wrong' });
}

/** An error in place of content, with another try. */
export function trouble(error, again) {
  if (error.status === undefined) console.error(error);
  const { title, advice, fields } = explain(error);
  return h('div', { class: 'empty wrong', role: 'alert' }, icon('alert'), h('h2', null, title), h('p', null, advice),
    fields && h('p', { class: 'small' }, fields), again && button(t('app.again'), again, { kind: 'primary' }));
}

/** Nothing to show, in words. */
export const empty = (picture, title, text, ...more) =>
  h('div', { class: 'empty' }, icon(picture), h('h2', null, title), h('p', null, text), more);

/** Something that is being loaded. */
export const loading = () => h('p', { class: 'loading', role: 'status' }, h('span', { class: 'spinner', 'aria-hidden': 'true' }), t('app.loading'));

/**
 * Asks; resolves to whether the answer was yes. With `word`, it must be typed.
 * The focus goes into the question and comes back after it.
 */
export function ask({ title, text, confirm, word, danger = true }) {
  return new Promise((resolve) => {
    const wrong = h('p', { class: 'field-wrong', id: 'ask-wrong', role: 'alert' });
    const field = word && h('input', { type: 'text', id: 'ask-word', autocomplete: 'off', autocapitalize: 'characters', spellcheck: 'false', 'aria-describedby': 'ask-wrong' });
    const yes = h('button', { type: 'submit', class: `button ${danger ? 'danger' : 'primary'}` }, confirm);
    const no = button(t('app.cancel'), () => dialog.close());
    const form = h('form', { class: 'ask' },
      h('h2', { id: 'ask-title' }, title), h('p', { id: 'ask-text' }, text),
      word && h('div', { class: 'field' }, h('label', { for: 'ask-word' }, t('data.deleteLabel', { word })), field, wrong),
      h('div', { class: 'actions' }, no, yes));
    const dialog = h('dialog', { 'aria-labelledby': 'ask-title', 'aria-describedby': 'ask-text' }, form);
    let answer = false;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (word && field.value.trim() !== word) {
        wrong.textContent = t('data.deleteMismatch', { word });
        field.setAttribute('aria-invalid', 'true');
        field.focus();
        return;
      }
      answer = true;
      dialog.close();
    });
    dialog.addEventListener('close', () => { dialog.remove(); resolve(answer); });
    document.body.append(dialog);
    dialog.showModal();
    (field || no).focus();
  });
}

/** Shows what `load` brings in `place`; its failure with another try. */
export async function show(place, signal, load) {
  fill(place, loading());
  try {
    const content = await load();
    if (!signal.aborted) fill(place, content);
  } catch (error) {
    if (!signal.aborted && error.status !== 401) fill(place, trouble(error, () => show(place, signal, load)));
  }
}

/** The heading of a view; it takes the focus when the view opens. */
export function heading(text, ...more) {
  const element = h('header', { class: 'heading' }, h('h1', { tabindex: '-1' }, text));
  add(element, more);
  return element;
}
