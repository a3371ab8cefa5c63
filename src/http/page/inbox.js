// The messages this page knows: two folders, newest first, kept in step by
// pages that are loaded and by live events. Everything about a message arrives
// possibly twice, in either order, and is the same for it.

import * as api from './api.js';
import { Live } from './live.js';

const fresh = () => ({ ids: [], next: null, loaded: false });
const known = new Map();
let folders = { inbox: fresh(), archive: fresh() };
let live = null;
let state = 'connecting';
const listeners = new Set();
/** Counts live news, so that a page asked for before some news does not undo it. */
let tick = 0;
const arrivals = new Map();
const marks = new Map();

/** Calls `listener({what, item})` on every change until the returned function is called. */
export function watch(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
const tell = (what, item) => listeners.forEach((listener) => listener({ what, item }));

export const connection = () => state;
export const item = (id) => known.get(id);
const name = (archived) => (archived ? 'archive' : 'inbox');

/** A folder's items, whether it was loaded, and whether older ones exist. */
export function folder(archived) {
  const { ids, next, loaded } = folders[name(archived)];
  return { items: ids.map((id) => known.get(id)), more: Boolean(next), loaded };
}

/** Unread messages among those loaded, and whether there may be more. */
export function unread() {
  const { items, more } = folder(false);
  return { count: items.filter((one) => !one.is_read).length, more };
}

/** Loads the newest page of a folder again and merges it. */
export async function refresh(archived, signal) {
  const asked = tick;
  const page = await api.messages(archived, undefined, signal);
  const place = folders[name(archived)];
  const ids = take(page.items, archived, asked);
  const since = place.ids.filter((id) => !ids.includes(id) && (arrivals.get(id) ?? 0) > asked);
  const oldest = place.loaded ? place.ids.findLastIndex((id) => ids.includes(id)) : -1;
  if (oldest < 0) place.next = page.next ?? null;
  // What is loaded further down stays; what left the folder is gone from it.
  const below = oldest < 0 ? [] : place.ids.slice(oldest + 1).filter((id) => !since.includes(id));
  place.ids = [...since, ...ids, ...below];
  place.loaded = true;
  tell('list');
}

/** Remembers a page's items, but for marks that changed since it was asked for; those still in the folder. */
function take(items, archived, asked) {
  const taken = items.map((one) => {
    const { is_read, is_archived, ...rest } = one;
    return remember((marks.get(one.id) ?? 0) > asked ? rest : one);
  });
  return taken.filter((one) => Boolean(one.is_archived) === archived).map((one) => one.id);
}

/** Loads the page below the last. */
export async function older(archived, signal) {
  const place = folders[name(archived)];
  if (!place.next) return;
  const asked = tick;
  const page = await api.messages(archived, place.next, signal);
  place.ids.push(...take(page.items, archived, asked).filter((id) => !place.ids.includes(id)));
  place.next = page.next ?? null;
  tell('list');
}

/** Takes in what was read of a message elsewhere, for example in a search. */
export function remember(one) {
  const both = { ...known.get(one.id), ...one };
  known.set(one.id, both);
  return both;
}

/** Marks a message read. */
export async function read(id) {
  await api.markRead(id);
  marked({ id, is_read: true });
}

/** Moves a message into the archive or out of it. */
export async function archive(id, archived) {
  await api.archive(id, archived);
  marked({ id, is_archived: archived });
}

function marked(change) {
  marks.set(change.id, ++tick);
  if (!known.has(change.id)) return;
  const after = remember({ ...change });
  if (change.is_archived !== undefined) place(after);
  tell('marked', after);
}

/** Puts a message into the folder it belongs to and out of the other. */
function place(one) {
  for (const archived of [false, true]) {
    const there = folders[name(archived)];
    const at = there.ids.indexOf(one.id);
    if (archived !== Boolean(one.is_archived)) {
      if (at >= 0) there.ids.splice(at, 1);
    } else if (at < 0 && there.loaded) insert(there, one);
  }
}

/** By time, which is near enough to the order of publication until the next refresh. */
function insert(there, one) {
  const at = there.ids.findIndex((id) => known.get(id).created_at <= one.created_at);
  // Below the last loaded one, the page it stands on brings it.
  if (at >= 0) there.ids.splice(at, 0, one.id);
  else if (!there.next) there.ids.push(one.id);
}

const events = {
  // A fresh session: what happened between the first look and now.
  ready: () => refresh(false).catch(() => {}),
  message(data) {
    const isNew = !known.has(data.id);
    const one = remember(data);
    arrivals.set(one.id, ++tick);
    const there = folders[name(one.is_archived)];
    if (!there.ids.includes(one.id) && there.loaded) there.ids.unshift(one.id);
    tell(isNew ? 'new' : 'marked', one);
  },
  status: (data) => marked(data),
  reset() {
    for (const there of Object.values(folders)) there.next = null;
    reload().then(() => tell('reset'), () => {});
  },
};

async function reload() {
  const { archive: kept } = folders;
  folders = { inbox: { ...folders.inbox, loaded: false }, archive: { ...kept, loaded: false } };
  await refresh(false);
  if (kept.loaded) await refresh(true);
}

/** Begins the live session of whoever is signed in. */
export function start() {
  stop();
  live = new Live({
    event: (event, data) => events[event]?.(data),
    state(now) {
      if (now === state) return;
      state = now;
      tell('connection');
    },
  });
}

/** Ends the session and forgets every message. */
export function stop() {
  live?.stop();
  live = null;
  for (const memory of [known, arrivals, marks]) memory.clear();
  folders = { inbox: fresh(), archive: fresh() };
  state = 'connecting';
}
