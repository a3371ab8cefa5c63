// What may reach the citizen: switches for everything, and for each service
// and channel. A switch shows what the server holds, never only what was asked.

import * as account from './account.js';
import * as api from './api.js';
import { button, fill, h, icon } from './dom.js';
import { t } from './language.js';
import { announce, ask, empty, fail, heading, note, show } from './say.js';
import { searchButton } from './view_inbox.js';

/** The channels: field of a service's preference, field of the profile, words. */
const CHANNELS = [
  { name: 'inbox', field: 'is_inbox_enabled', picture: 'inbox' },
  { name: 'email', field: 'is_email_enabled', picture: 'mail' },
  { name: 'push', field: 'is_webhook_enabled', picture: 'bell' },
];

/** A switch; `change` brings the new state or throws. */
function toggle({ checked, label, change, id, describedby, disabled }) {
  const input = h('input', { type: 'checkbox', role: 'switch', id, checked, disabled, 'aria-label': label, 'aria-describedby': describedby });
  input.addEventListener('change', async () => {
    const wanted = input.checked;
    input.setAttribute('aria-busy', 'true');
    try {
      await change(wanted);
    } catch (error) {
      input.checked = !wanted;
      fail(error);
    } finally {
      input.removeAttribute('aria-busy');
    }
  });
  return input;
}

/** Switches of the profile: they hold over every service. */
function general(profile, again) {
  const warning = !profile.email ? t('preferences.noEmail') : profile.is_email_validated === false ? t('preferences.notValidated') : null;
  const line = ({ name, field, picture }) => {
    const words = t(`preferences.${name}`);
    const id = `all-${name}`;
    const change = async (on) => {
      try {
        await account.change({ [field]: on });
        note(t(on ? 'preferences.masterOn' : 'preferences.masterOffDone', { channel: words }));
      } finally {
        again();
      }
    };
    return h('li', { class: 'line' }, icon(picture), h('label', { for: id, class: 'line-text' }, words),
      toggle({ checked: Boolean(profile[field]), id, change }));
  };
  return h('section', { class: 'card', 'aria-labelledby': 'general-title' },
    h('h2', { id: 'general-title' }, t('preferences.general')), h('p', { class: 'hint' }, t('preferences.generalText')),
    h('ul', { class: 'lines' }, CHANNELS.map(line)),
    !profile.is_inbox_enabled && h('p', { class: 'banner attention' }, icon('alert'), h('span', null, t('preferences.inboxOff'))),
    warning && h('p', { class: 'banner attention' }, icon('info'), h('span', null, warning, ' ',
      h('a', { href: '#/profile' }, t('preferences.toProfile')))));
}

/** What holds for services without a choice. */
function mode(profile, again) {
  const current = profile.service_preferences_settings?.mode ?? 'AUTO';
  const choose = async (wanted) => {
    const yes = await ask({ title: t('preferences.modeAsk'), text: t('preferences.modeAskText'), confirm: t('preferences.modeConfirm'), danger: false });
    if (yes) {
      try {
        await account.change({ service_preferences_settings: { mode: wanted } });
        note(t('preferences.modeDone'));
      } catch (error) {
        fail(error);
      }
    }
    again(`mode-${yes ? wanted : current}`);
  };
  const option = (name) => h('label', { class: 'option' },
    h('input', { type: 'radio', name: 'mode', id: `mode-${name}`, value: name, checked: current === name, onchange: () => choose(name) }),
    h('span', null, h('strong', null, t(`preferences.${name}`)), h('span', { class: 'small' }, t(`preferences.${name}Text`))));
  return h('section', { class: 'card', 'aria-labelledby': 'mode-title' },
    h('h2', { id: 'mode-title' }, t('preferences.mode')), h('p', { class: 'hint' }, t('preferences.modeText')),
    current === 'LEGACY' && h('p', { class: 'banner attention' }, icon('info'), h('span', null, t('preferences.LEGACY'))),
    h('div', { class: 'options', role: 'radiogroup', 'aria-labelledby': 'mode-title' }, option('AUTO'), option('MANUAL')));
}

/** One service with its three switches. */
function serviceRow(service, profile, reload) {
  const state = Object.fromEntries(CHANNELS.map(({ field }) => [field, service[field]]));
  const element = h('li', { class: 'service' });
  const id = `service-${service.service_id}`;
  const special = service.category === 'SPECIAL';
  const legacy = profile.service_preferences_settings?.mode === 'LEGACY';
  const paint = () => {
    const cell = ({ name, field, picture }) => {
      const channel = t(`preferences.${name}Short`);
      const off = profile[field] === false;
      const silent = name !== 'inbox' && !state.is_inbox_enabled;
      return h('label', { class: `cell${off || silent ? ' dim' : ''}`, title: off ? t('preferences.masterOff') : null },
        h('span', { class: 'cell-name', 'aria-hidden': 'true' }, icon(picture), channel),
        toggle({ checked: state[field], label: t('preferences.switch', { channel, service: service.service_name }), describedby: remark ? `${id}-note` : null,
          disabled: legacy || (special && name === 'inbox'), id: `${id}-${name}`, change: (on) => set(name, field, on, channel) }));
    };
    const hint = special ? 'preferences.special' : 'preferences.silent';
    const remark = (special || !state.is_inbox_enabled) && h('span', { class: 'small', id: `${id}-note` }, t(hint));
    fill(element, h('div', { class: 'service-name' }, service.service_name, remark),
      h('div', { class: 'cells', role: 'group', 'aria-label': service.service_name }, CHANNELS.map(cell)));
  };
  const set = async (name, field, on, channel) => {
    const wanted = { ...state, [field]: on };
    try {
      Object.assign(state, pick(await api.changePreference(service.service_id, { ...wanted, settings_version: service.settings_version })));
    } catch (error) {
      if (error.status === 409) reload();
      throw error;
    }
    announce(t(on ? 'preferences.on' : 'preferences.off', { service: service.service_name, channel }));
    if (name !== 'inbox') return;
    paint();
    document.getElementById(`${id}-${name}`)?.focus();
  };
  paint();
  return element;
}

const pick = (answer) => Object.fromEntries(CHANNELS.map(({ field }) => [field, Boolean(answer[field])]));

/** The services found, by organisation. */
function matrix({ words, signal }) {
  const body = h('div', { class: 'matrix' });
  const foot = h('div', { class: 'foot' });
  const groups = new Map();
  let next;
  let count = 0;
  let profile;
  const group = (name) => {
    if (!groups.has(name)) {
      const id = `body-${groups.size}`;
      const list = h('ul', { class: 'services' });
      const heads = h('div', { class: 'cells heads', 'aria-hidden': 'true' }, CHANNELS.map(({ name: channel }) => h('span', null, t(`preferences.${channel}Short`))));
      groups.set(name, { list, element: h('section', { class: 'card flush group', 'aria-labelledby': id }, h('header', null, h('h3', { id }, name), heads), list) });
    }
    return groups.get(name).list;
  };
  const page = async () => {
    const answer = await api.preferences(words, next, signal);
    const version = answer.settings_version;
    for (const service of answer.items) {
      group(service.organization_name).append(serviceRow({ ...service, settings_version: version }, profile, reload));
    }
    count += answer.items.length;
    next = answer.next;
    fill(foot, next && button(t('preferences.more'), () => page().catch(fail)));
    if (count === 0) return empty('search', t('preferences.none'), t('preferences.noneText'));
    announce(t('preferences.shown', { count }));
    const legacy = answer.mode === 'LEGACY' && h('p', { class: 'banner attention' }, icon('info'), h('span', null, t('preferences.legacyServices')));
    const elements = [legacy, [...groups.values()].map(({ element }) => element)];
    if (body.isConnected && body.querySelector('.group')) fill(body, elements);
    return elements;
  };
  const reload = () => {
    groups.clear();
    count = 0;
    next = undefined;
    return show(body, signal, async () => { profile = await account.load(signal); return page(); });
  };
  reload();
  return { elements: [body, foot], reload };
}

/** The view. */
export function preferencesView({ query, signal }) {
  const words = query.get('q') ?? '';
  const top = h('div', { class: 'pair' });
  const place = h('div', { class: 'stack' });
  let services;
  const paintTop = (focus) => {
    const active = focus ?? document.activeElement?.id;
    return account.profile(signal).then((profile) => {
      if (signal.aborted) return;
      fill(top, general(profile, again), mode(profile, again));
      if (active && top.querySelector(`#${CSS.escape(active)}`)) document.getElementById(active).focus();
    });
  };
  const again = (focus) => { paintTop(focus).then(() => services.reload(), fail); };
  const list = (asked) => {
    services = matrix({ words: asked, signal });
    fill(place, services.elements);
  };
  const field = h('input', { type: 'search', id: 'service-words', value: words, maxlength: '100', autocomplete: 'off', placeholder: t('preferences.search') });
  const form = h('form', { class: 'search', role: 'search', onsubmit: (event) => {
    event.preventDefault();
    list(field.value.trim());
  } }, h('label', { for: 'service-words', class: 'unseen' }, t('preferences.search')), icon('search'), field,
  searchButton());
  show(top, signal, async () => { const profile = await account.load(signal); return [general(profile, again), mode(profile, again)]; });
  list(words);
  return [heading(t('preferences.title'), h('p', { class: 'lead' }, t('preferences.text'))), top,
    h('h2', { class: 'section-title' }, t('preferences.services')), form, place];
}
