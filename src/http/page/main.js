// The page: who is signed in, which view is open, what stands around it.

import * as account from './account.js';
import { fill, h, icon, unseen } from './dom.js';
import * as inbox from './inbox.js';
import { choose, language, start, t } from './language.js';
import { announce, ask, empty, fail, heading, note } from './say.js';
import { begin as hold, end, onEnd, takeFromAddress, token } from './session.js';
import { activation } from './view_activation.js';
import { dataView } from './view_data.js';
import { devicesView } from './view_devices.js';
import { folderView, searchView } from './view_inbox.js';
import { messageView } from './view_message.js';
import { preferencesView } from './view_preferences.js';
import { profileView } from './view_profile.js';
import { signIn } from './view_sign_in.js';

const VIEWS = {
  inbox: folderView(false), archive: folderView(true), search: searchView, message: messageView,
  preferences: preferencesView, profile: profileView, devices: devicesView, data: dataView,
};
const MENU = [['inbox', 'inbox'], ['preferences', 'sliders'], ['profile', 'person'], ['devices', 'phone'], ['data', 'folder']];
/** The menu's section that a view belongs to. */
const SECTION = { archive: 'inbox', search: 'inbox', message: 'inbox' };

const page = document.getElementById('page');
let open = null;
let reason = null;

function place() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  const [view, argument] = path.split('/');
  let id = '';
  try {
    id = decodeURIComponent(argument ?? '');
  } catch {
    // A broken address: no such view.
  }
  return { view: view || 'inbox', argument: id, query: new URLSearchParams(query ?? '') };
}

function languages() {
  const one = (name, words) => h('button', { type: 'button', lang: name, 'aria-pressed': String(language() === name), id: `language-${name}`,
    onclick: () => { choose(name); paint(); document.getElementById(`language-${name}`)?.focus(); } },
  h('span', { 'aria-hidden': 'true' }, name.toUpperCase()), unseen(words));
  return h('div', { class: 'languages', role: 'group', 'aria-label': t('app.language') }, one('it', 'Italiano'), one('en', 'English'));
}

const skip = () => h('a', { class: 'skip', href: '#main', onclick: (event) => {
  event.preventDefault();
  document.getElementById('main')?.focus();
} }, t('app.skip'));

function top(signedIn) {
  const out = () => end('signedOut');
  return h('header', { class: 'top' }, h('div', { class: 'top-inside' },
    h('a', { class: 'brand', href: '#/inbox' }, icon('herald'), h('span', null, h('strong', null, t('app.name')), h('span', { class: 'claim' }, t('app.claim')))),
    h('div', { class: 'top-tools' }, languages(),
      signedIn && h('button', { type: 'button', class: 'out', title: t('app.signOut'), onclick: out }, icon('leave'), h('span', null, t('app.signOut'))))));
}

function menu(current) {
  const count = h('span', { class: 'count', hidden: true });
  const update = () => {
    const { count: number, more } = inbox.unread();
    const text = `${number}${more ? '+' : ''}`;
    count.hidden = number === 0;
    fill(count, h('span', { 'aria-hidden': 'true' }, text), unseen(t('inbox.unreadCount', { count: text })));
    title(current);
  };
  const entry = ([name, picture]) => h('li', null, h('a', { href: `#/${name}`, 'aria-current': (SECTION[current] ?? current) === name ? 'page' : null },
    icon(picture), h('span', null, t(`menu.${name}`)), name === 'inbox' && count));
  return { element: h('nav', { class: 'menu', 'aria-label': t('app.menu') }, h('ul', null, MENU.map(entry))), update };
}

function title(view) {
  const { count } = inbox.unread();
  const section = t(`menu.${SECTION[view] ?? view}`);
  document.title = `${count > 0 ? `(${count}) ` : ''}${view in VIEWS ? section : t('app.notFound')} · ${t('app.name')}`;
}

function missing() {
  return [heading(t('app.notFound')), h('div', { class: 'card' }, empty('info', t('app.notFound'), t('app.notFoundText'),
    h('a', { class: 'button primary', href: '#/inbox' }, t('app.toInbox'))))];
}

function paint({ focus = false } = {}) {
  open?.abort();
  open = new AbortController();
  const { signal } = open;
  if (token() === null) return paintSignIn(focus);
  if (account.known()?.has_profile === false) return paintActivation(focus);
  const { view, argument, query } = place();
  const around = menu(view);
  const main = h('main', { id: 'main', tabindex: '-1' });
  // The view's own heading, once it is there; until then the place it comes to.
  const settled = () => {
    if (!signal.aborted && [main, document.body].includes(document.activeElement)) (main.querySelector('h1') ?? main).focus();
  };
  fill(main, (Object.hasOwn(VIEWS, view) ? VIEWS[view] : missing)({ argument, query, signal, settled }));
  fill(page, skip(), top(true), h('div', { class: 'frame' }, around.element, main));
  around.update();
  signal.addEventListener('abort', inbox.watch(around.update));
  if (!focus) return;
  scrollTo(0, 0);
  (main.querySelector('h1') ?? main).focus({ preventScroll: true });
}

/** Somebody without a profile: there is nothing to show before there is one. */
function paintActivation(focus) {
  document.title = `${t('activation.title')} · ${t('app.name')}`;
  fill(page, skip(), top(true), activation(enter));
  if (focus) page.querySelector('h1').focus();
}

function paintSignIn(focus) {
  document.title = `${t('signIn.title')} · ${t('app.name')}`;
  fill(page, skip(), top(false), signIn(reason, enter));
  if (focus) page.querySelector('h1').focus();
}

/** After a token was believed. */
function enter() {
  reason = null;
  begin();
  paint({ focus: true });
}

/** What runs while somebody is signed in. */
function begin() {
  if (account.known()?.has_profile === false) return;
  inbox.start();
  if (place().view === 'inbox') return;
  inbox.refresh(false).catch(() => {
    // Only the number beside the menu needs it; the inbox says what is wrong.
  });
}

onEnd((why) => {
  inbox.stop();
  account.forget();
  if (why === 'silent') return;
  reason = why;
  document.querySelectorAll('dialog').forEach((dialog) => dialog.close());
  // The address of a message is not left for whoever signs in next.
  if (why !== 'expired') history.replaceState(null, '', `${location.pathname}#/inbox`);
  paint({ focus: true });
});

inbox.watch(({ what, item: one }) => {
  if (what !== 'new') return;
  const words = t('inbox.new', { sender: one.organization_name ?? '', title: one.message_title ?? '' });
  const { view } = place();
  if (view === 'inbox') announce(words);
  else note(words, { act: { label: t('app.toInbox'), action: async () => { location.hash = '#/inbox'; } } });
});

/** Goes on as whoever the token stands for, who may have no profile. */
function resume() {
  begin();
  account.load().then(({ has_profile: has }) => has === false && paint({ focus: true }), fail);
}

/** Signs in with a token from the address. A link must not put somebody else in the place of whoever is signed in: that is asked. */
async function takeOver(given) {
  if (given === null || given === token()) return;
  if (token() !== null) {
    if (!await ask({ title: t('signIn.replace'), text: t('signIn.replaceText'), confirm: t('signIn.replaceConfirm') })) return;
    inbox.stop();
    account.forget();
  }
  reason = null;
  hold(given);
  resume();
  paint({ focus: true });
}

addEventListener('hashchange', () => {
  const given = takeFromAddress();
  paint({ focus: true });
  takeOver(given);
});

start();
const arrived = takeFromAddress();
if (token() === null && arrived !== null) hold(arrived);
paint();
if (token() !== null) resume();
takeOver(arrived);
