// One message: who sent it, its deadline, its payment, its text.

import * as api from './api.js';
import { calendarFile } from './calendar.js';
import { button, fill, h, icon, keep } from './dom.js';
import { colour, daysLeft, grouped, initials, longDate, longTime, money } from './format.js';
import * as inbox from './inbox.js';
import { t } from './language.js';
import { parse, render } from './markdown.js';
import { empty, fail, note, show } from './say.js';
import { move } from './view_inbox.js';

function dueCard(one) {
  const due = new Date(one.content.due_date);
  if (Number.isNaN(due.getTime())) return null;
  const left = daysLeft(due);
  const save = () => {
    const text = `${one.organization_name ?? ''} – ${one.service_name ?? ''}\n${location.href.split('#')[0]}#/message/${one.id}`;
    const file = calendarFile({ id: one.id, due, title: one.content.subject, text });
    keep(new Blob([file], { type: 'text/calendar' }), 'araldo.ics');
    note(t('due.calendarDone'));
  };
  return h('section', { class: `fact due${left.late ? ' late' : ''}`, 'aria-labelledby': 'due-title' },
    h('div', { class: 'fact-icon' }, icon('calendar')),
    h('div', { class: 'fact-text' },
      h('h2', { id: 'due-title' }, t('due.title')),
      h('p', { class: 'fact-main' }, h('time', { datetime: one.content.due_date }, longDate(due)),
        h('span', { class: `chip ${left.late ? 'late' : 'soon'}` }, left.text))),
    button(t('due.calendar'), save, { picture: 'calendar' }));
}

function paymentCard(one) {
  const payment = one.content.payment_data;
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(payment.notice_number);
      note(t('payment.copied'));
    } catch {
      note(t('payment.notCopied'), { kind: 'wrong' });
    }
  };
  const code = payment.payee?.fiscal_code ?? one.organization_fiscal_code;
  const own = code === one.organization_fiscal_code;
  const line = (name, ...value) => h('div', null, h('dt', null, name), h('dd', null, value));
  return h('section', { class: 'fact pay', 'aria-labelledby': 'pay-title' },
    h('div', { class: 'fact-icon' }, icon('euro')),
    h('div', { class: 'fact-text' },
      h('h2', { id: 'pay-title' }, t('payment.title')),
      h('p', { class: 'fact-main amount' }, money(payment.amount)),
      h('dl', null,
        line(t('payment.notice'), h('span', { class: 'number' }, grouped(payment.notice_number))),
        own && line(t('payment.payee'), one.organization_name),
        code && line(t('payment.payeeCode'), h('span', { class: 'number' }, code))),
      payment.invalid_after_due_date && h('p', { class: 'hint' }, t('payment.invalidAfter'))),
    button(t('payment.copy'), copy, { picture: 'copy' }));
}

function body(one) {
  const { content } = one;
  const sender = one.organization_name ?? '';
  const sent = new Date(one.created_at);
  return h('article', { class: 'card message' },
    h('header', null,
      h('p', { class: 'message-from' },
        h('span', { class: `avatar c${colour(sender)}`, 'aria-hidden': 'true' }, initials(sender)),
        h('span', null, h('strong', null, sender), h('span', { class: 'small' }, one.service_name ?? ''))),
      h('h1', { tabindex: '-1' }, content.subject),
      h('p', { class: 'small' }, h('time', { datetime: one.created_at }, longTime(sent)))),
    content.due_date && dueCard(one),
    content.payment_data && paymentCard(one),
    h('div', { class: 'text' }, render(parse(content.markdown), { newWindow: t('app.newWindow') })),
    h('footer', null, h('a', { href: `#/preferences?q=${encodeURIComponent(one.service_name ?? '')}` },
      icon('sliders'), t('message.choose'))));
}

/** A message; opening it marks it read. */
export function messageView({ argument: id, signal, settled }) {
  const place = h('div');
  const tools = h('div', { class: 'tools' });
  let painted;
  const paintTools = () => {
    const archived = Boolean(inbox.item(id)?.is_archived);
    if (archived === painted) return;
    painted = archived;
    const focused = tools.contains(document.activeElement);
    fill(tools, button(t(archived ? 'message.restore' : 'message.archive'), () => move(id, !archived), { picture: archived ? 'restore' : 'archive' }));
    if (focused) tools.querySelector('button').focus();
  };
  const load = async () => {
    let one;
    try {
      one = await api.message(id, signal);
    } catch (error) {
      if (error.status !== 404) throw error;
      return empty('info', t('message.gone'), t('message.goneText'));
    }
    const { content, ...rest } = one;
    const shown = { ...inbox.item(id), ...rest, content };
    inbox.remember({ ...rest, message_title: shown.message_title ?? content.subject });
    if (!shown.is_read) inbox.read(id).catch((error) => signal.aborted || fail(error));
    paintTools();
    return body(shown);
  };
  signal.addEventListener('abort', inbox.watch(({ what, item: one }) => what === 'marked' && one.id === id && paintTools()));
  show(place, signal, load).then(settled);
  const back = h('a', { class: 'button bare', href: '#/inbox' }, icon('back'), h('span', null, t('message.back')));
  return [h('div', { class: 'bar' }, back, tools), place];
}
