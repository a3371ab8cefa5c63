// The first visit of somebody who has no profile yet.

import * as account from './account.js';
import { button, h, icon } from './dom.js';
import { t } from './language.js';
import { fail } from './say.js';

/** Version of the terms that this page shows: those of its own text. */
const TERMS = 1;

/** The page that makes a profile; `done` goes on. */
export function activation(done) {
  const activate = async () => {
    try {
      await account.change({ accepted_tos_version: TERMS, is_inbox_enabled: true, service_preferences_settings: { mode: 'AUTO' } });
      done();
    } catch (error) {
      fail(error);
    }
  };
  return h('main', { id: 'main', class: 'sign-in', tabindex: '-1' },
    h('div', { class: 'card' }, h('div', { class: 'emblem' }, icon('herald')),
      h('h1', { tabindex: '-1' }, t('activation.title')),
      h('p', { class: 'lead' }, t('activation.text')), h('p', null, t('activation.terms')),
      button(t('activation.button'), activate, { kind: 'primary wide', id: 'activate' })));
}
