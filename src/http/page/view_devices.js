// Devices with the app, and the way out when one is lost.

import * as api from './api.js';
import { button, h, icon } from './dom.js';
import { longDate } from './format.js';
import { t } from './language.js';
import { ask, empty, fail, heading, note, show } from './say.js';
import { end } from './session.js';

function device(one, again) {
  const name = t(`devices.${one.platform === 'apns' ? 'apns' : 'fcm'}`);
  const since = one.registered_at ? t('devices.since', { date: longDate(new Date(one.registered_at)) }) : '';
  const remove = async () => {
    const yes = await ask({ title: t('devices.removeAsk'), text: `${name}, ${since}. ${t('devices.removeText')}`, confirm: t('devices.remove') });
    if (!yes) return;
    try {
      await api.removeDevice(one.id);
      note(t('devices.removed'));
    } catch (error) {
      fail(error);
    }
    await again();
  };
  return h('li', { class: 'line' }, icon('phone'),
    h('span', { class: 'line-text' }, h('strong', null, name), h('span', { class: 'small' }, since)),
    button(t('devices.remove'), remove, { picture: 'trash', 'aria-label': t('devices.removeOne', { device: `${name}, ${since}` }) }));
}

/** The view. */
export function devicesView({ signal }) {
  const body = h('div', { class: 'card', tabindex: '-1' });
  const load = async () => {
    const { items } = await api.devices(signal);
    if (items.length === 0) return empty('phone', t('devices.none'), t('devices.noneText'));
    return h('ul', { class: 'lines' }, items.map((one) => device(one, again)));
  };
  const again = () => show(body, signal, load).then(() => body.focus());
  const lost = async () => {
    const yes = await ask({ title: t('devices.lostAsk'), text: t('devices.lostAskText'), confirm: t('devices.lostConfirm') });
    if (!yes) return;
    try {
      await api.revokeEverything();
      end('revoked');
    } catch (error) {
      fail(error);
    }
  };
  show(body, signal, load);
  return [heading(t('devices.title'), h('p', { class: 'lead' }, t('devices.text'))), body,
    h('section', { class: 'card danger-zone', 'aria-labelledby': 'lost-title' },
      h('h2', { id: 'lost-title' }, t('devices.lost')), h('p', null, t('devices.lostText')),
      button(t('devices.lostButton'), lost, { kind: 'danger', picture: 'alert' }))];
}
