// The citizen's data: a copy of it, and its end.

import * as account from './account.js';
import * as api from './api.js';
import { button, fill, h, icon, keep } from './dom.js';
import { longTime } from './format.js';
import { t } from './language.js';
import { ask, fail, heading, note, show } from './say.js';
import { end } from './session.js';

/** Milliseconds between looks at a request that is about to be carried out. */
const LOOK = 3_000;

async function download() {
  try {
    await api.askData('DOWNLOAD');
    const name = `araldo-${new Date().toISOString().slice(0, 10)}.json`;
    keep(await api.userData(), name);
    note(t('data.downloaded', { name }));
  } catch (error) {
    fail(error);
  }
}

/** The request to delete, or null when there is none. */
async function deletion(signal) {
  try {
    return await api.dataRequest('DELETE', signal);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** Whether the account is there; if it is not, the session ends. */
async function stillThere(signal) {
  const profile = await account.load(signal);
  if (profile.has_profile !== false) return true;
  end('deleted');
  return false;
}

async function askDeletion(again) {
  const word = t('data.deleteWord');
  const yes = await ask({ title: t('data.deleteAsk'), text: t('data.deleteAskText', { word }), confirm: t('data.deleteConfirm'), word });
  if (!yes) return;
  try {
    await api.askData('DELETE');
    if (await stillThere()) await again();
  } catch (error) {
    fail(error);
    await again();
  }
}

async function takeBack(again) {
  try {
    await api.takeBack('DELETE');
    note(t('data.takenBack'));
  } catch (error) {
    fail(error);
  }
  await again();
}

function state(request, again) {
  if (request?.status === 'PENDING') {
    const date = longTime(new Date(request.created_at));
    const words = request.due_at ? t('data.pendingDue', { date, due: longTime(new Date(request.due_at)) }) : t('data.pendingText', { date });
    return [h('div', { class: 'banner attention' }, icon('alert'),
      h('span', null, h('strong', null, t('data.pending')), h('br'), words)),
    button(t('data.takeBack'), () => takeBack(again), { kind: 'primary', id: 'take-back', picture: 'restore' })];
  }
  if (request?.status === 'WIP') return h('p', { class: 'banner attention', role: 'status' }, icon('alert'), h('span', null, t('data.working')));
  return [request?.status === 'FAILED' && h('p', { class: 'banner attention' }, icon('alert'), h('span', null, t('data.failed'))),
    button(t('data.deleteButton'), () => askDeletion(again), { kind: 'danger', id: 'delete', picture: 'trash' })];
}

/** The view. */
export function dataView({ signal }) {
  const place = h('div', { class: 'stack', tabindex: '-1' });
  let timer;
  const look = async () => {
    try {
      const request = await deletion(signal);
      if (signal.aborted) return;
      if (['PENDING', 'WIP'].includes(request?.status)) timer = setTimeout(look, LOOK);
      else if (await stillThere(signal)) fill(place, state(request, again));
    } catch {
      // The next visit looks again.
    }
  };
  const load = async () => {
    const request = await deletion(signal);
    clearTimeout(timer);
    if (['PENDING', 'WIP'].includes(request?.status)) timer = setTimeout(look, LOOK);
    return state(request, again);
  };
  const again = () => show(place, signal, load).then(() => (place.querySelector('button') ?? place).focus());
  signal.addEventListener('abort', () => clearTimeout(timer));
  show(place, signal, load);
  return [heading(t('data.title')),
    h('section', { class: 'card', 'aria-labelledby': 'download-title' }, h('h2', { id: 'download-title' }, t('data.download')),
      h('p', null, t('data.downloadText')), button(t('data.downloadButton'), download, { kind: 'primary', picture: 'download', id: 'download' })),
    h('section', { class: 'card danger-zone', 'aria-labelledby': 'delete-title' }, h('h2', { id: 'delete-title' }, t('data.delete')),
      h('p', null, t('data.deleteText')), place)];
}
