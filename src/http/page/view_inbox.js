// The list of messages: live, by folder, page by page, and searched.

import * as api from './api.js';
import { button, fill, h, icon, unseen } from './dom.js';
import { colour, initials, longTime, shortTime } from './format.js';
import * as inbox from './inbox.js';
import { t } from './language.js';
import { announce, empty, fail, heading, loading, note, show } from './say.js';

const title = (one) => one.message_title || t('inbox.title');
const sender = (one) => one.organization_name || one.service_name || '';

/** Moves a message between the folders and offers to undo it. */
export async function move(id, archived) {
  try {
    await inbox.archive(id, archived);
    const undo = () => inbox.archive(id, !archived).catch(fail);
    note(t(archived ? 'inbox.archiveDone' : 'inbox.restoreDone'), { act: { label: t('inbox.undo'), action: undo } });
  } catch (error) {
    fail(error);
  }
}

/** Calls that one look into a long inbox may take. */
const MOST_CALLS = 5;

const chip = (picture, text, kind = '') => h('span', { class: `chip ${kind}` }, icon(picture), text);

function row(one, isNew) {
  const sent = new Date(one.created_at);
  const kind = one.category?.tag;
  const words = t(one.is_archived ? 'inbox.restoreOne' : 'inbox.archiveOne', { title: title(one) });
  return h('li', { class: `row${one.is_read ? '' : ' unread'}${isNew ? ' fresh' : ''}`, 'data-id': one.id },
    h('a', { class: 'row-link', href: `#/message/${encodeURIComponent(one.id)}` },
      h('span', { class: `avatar c${colour(sender(one))}`, 'aria-hidden': 'true' }, initials(sender(one))),
      h('span', { class: 'row-text' },
        h('span', { class: 'row-top' },
          h('span', { class: 'row-sender' }, sender(one)),
          h('time', { datetime: one.created_at, title: longTime(sent) }, shortTime(sent))),
        h('span', { class: 'row-title' }, !one.is_read && unseen(`${t('inbox.unread')}: `), title(one)),
        h('span', { class: 'row-more' }, h('span', { class: 'row-service' }, one.service_name),
          kind === 'PAYMENT' && chip('euro', t('inbox.payment'), 'pay'),
          kind === 'LEGAL_MESSAGE' && chip('info', t('inbox.legal')),
          one.has_attachments && chip('copy', t('inbox.attachments'))))),
    h('button', { type: 'button', class: 'round', title: words, 'aria-label': words, onclick: () => move(one.id, !one.is_archived) },
      icon(one.is_archived ? 'restore' : 'archive')));
}

/** Puts rows into `list` without touching those that stay as they were: the focus must not be lost. */
function renew(list, items, newId) {
  const old = new Map([...list.children].map((element) => [element.dataset.id, element]));
  const active = document.activeElement;
  const focused = list.contains(active) ? active.closest('.row')?.dataset.id : undefined;
  const at = [...list.children].findIndex((element) => element.dataset.id === focused);
  const rows = items.map((one) => {
    const key = JSON.stringify([one.is_read, one.is_archived, one.message_title]);
    const there = old.get(one.id);
    if (there?.dataset.key === key) return there;
    const made = row(one, one.id === newId);
    made.dataset.key = key;
    return made;
  });
  const same = rows.length === list.children.length && rows.every((made, index) => made === list.children[index]);
  if (same) return;
  list.replaceChildren(...rows);
  if (list.contains(active)) active.focus({ preventScroll: true });
  if (!focused || list.contains(active)) return;
  // The row that had the focus is gone or new: its place has it now.
  const next = rows.find((made) => made.dataset.id === focused) ?? rows[Math.min(at, rows.length - 1)];
  next?.querySelector('a').focus();
}

/** Words where there is room, a picture on phones. */
export const searchButton = () => h('button', { type: 'submit', class: 'button secondary go' }, icon('search'), h('span', null, t('inbox.searchButton')));

function searchForm(words) {
  const field = h('input', { type: 'search', id: 'words', name: 'words', value: words ?? '', maxlength: '100', autocomplete: 'off', placeholder: t('inbox.search') });
  return h('form', { class: 'search', role: 'search', onsubmit: (event) => {
    event.preventDefault();
    const now = field.value.trim();
    location.hash = now ? `#/search?q=${encodeURIComponent(now)}` : '#/inbox';
  } },
  h('label', { for: 'words', class: 'unseen' }, t('inbox.search')), icon('search'), field,
  searchButton());
}

function tabs(current) {
  const tab = (name, address) => h('a', { href: address, 'aria-current': name === current ? 'page' : null },
    t(name === 'archive' ? 'inbox.archived' : 'inbox.current'));
  return h('nav', { class: 'tabs', 'aria-label': t('inbox.folders') }, tab('inbox', '#/inbox'), tab('archive', '#/archive'));
}

function liveState() {
  const element = h('p', { class: 'live', role: 'status' });
  const update = () => {
    const now = inbox.connection();
    const words = t(now === 'live' ? 'inbox.live' : `inbox.${now}`);
    element.className = `live ${now}`;
    element.title = now === 'live' ? t('inbox.liveText') : '';
    fill(element, h('span', { class: 'dot', 'aria-hidden': 'true' }), words);
  };
  update();
  return { element, update };
}

/** The inbox or the archive. */
export function folderView(archived) {
  return ({ signal }) => {
    const list = h('ul', { class: 'rows', 'aria-label': t(archived ? 'inbox.archived' : 'inbox.current') });
    const foot = h('div', { class: 'foot' });
    const body = h('div', { class: 'card flush' });
    const live = liveState();
    const more = button(t('inbox.older'), () => inbox.older(archived, signal).catch(fail));
    const paint = (newId) => {
      const { items, more: rest, loaded } = inbox.folder(archived);
      if (!loaded) return;
      renew(list, items, newId);
      if (items.length > 0) {
        if (!list.isConnected) fill(body, list);
      } else {
        fill(body, archived ? empty('archive', t('inbox.archiveEmpty'), t('inbox.archiveEmptyText')) : empty('inbox', t('inbox.empty'), t('inbox.emptyText')));
      }
      if (rest !== more.isConnected) fill(foot, rest && more);
    };
    const stop = inbox.watch(({ what, item: one }) => {
      if (what === 'connection') live.update();
      else paint(what === 'new' ? one.id : undefined);
      if (what === 'reset') announce(t('inbox.reset'));
    });
    signal.addEventListener('abort', stop);
    const load = async () => { await inbox.refresh(archived, signal); paint(); return [...body.childNodes]; };
    if (inbox.folder(archived).loaded) {
      paint();
      inbox.refresh(archived, signal).catch((error) => signal.aborted || fail(error));
    } else {
      show(body, signal, load);
    }
    return [heading(t('inbox.title'), live.element), searchForm(), tabs(archived ? 'archive' : 'inbox'), body, foot];
  };
}

/** What a search found. */
export function searchView({ query, signal }) {
  const words = query.get('q') ?? '';
  const found = [];
  let next;
  const list = h('ul', { class: 'rows', 'aria-label': t('inbox.found', { words }) });
  const body = h('div', { class: 'card flush' }, loading());
  const foot = h('div', { class: 'foot' });
  const paint = () => renew(list, found.map((id) => inbox.item(id)));
  const page = async () => {
    // One call looks at a part of the inbox: it may find nothing and go on.
    for (let calls = 0; calls < MOST_CALLS; calls += 1) {
      const answer = await api.search(words, next, signal);
      const fresh = answer.items.map((one) => inbox.remember(one).id).filter((id) => !found.includes(id));
      found.push(...fresh);
      next = answer.next;
      if (fresh.length > 0 || !next) break;
    }
    paint();
    fill(foot, next && button(t('inbox.older'), () => page().then((content) => fill(body, content), fail)));
    if (found.length === 0) return empty('search', t('inbox.foundNone', { words }), t('inbox.foundNoneText'));
    return list;
  };
  signal.addEventListener('abort', inbox.watch(({ what }) => what === 'marked' && paint()));
  show(body, signal, page);
  const close = h('a', { class: 'button bare', href: '#/inbox' }, icon('back'), h('span', null, t('inbox.searchEnd')));
  return [heading(t('inbox.found', { words }), close), searchForm(words), body, foot];
}
