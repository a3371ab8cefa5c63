// Every view on a desk and on a small phone, light and dark, in both languages.

import assert from 'node:assert/strict';
import { Visitor } from '../lib/browser.mjs';

const DAY = 86_400_000;
const VIEWS = ['inbox', 'message', 'archive', 'search', 'preferences', 'profile', 'devices', 'data', 'missing'];
const ARRIVALS = [
  ['pensioni', 'Nuovo cedolino della pensione'],
  ['assegno', 'Assegno unico: aggiorna l’ISEE entro febbraio per avere gli importi maggiorati di chi ha più figli'],
  ['bollo', 'Bollo auto in scadenza', { due_date: new Date(Date.now() + 6 * DAY).toISOString(), payment_data: { amount: 21_437, notice_number: '001000000098765432' } }],
  ['sanita', 'Prenotazione confermata: visita oculistica'],
  ['anagrafe', 'La tua carta d’identità scade tra 90 giorni', { due_date: new Date(Date.now() + 90 * DAY).toISOString() }],
  ['tari', 'TARI: avviso di pagamento della prima rata', { text: 'tari', due_date: new Date(Date.now() + 12 * DAY).toISOString(), payment_data: { amount: 12_850, notice_number: '301000000012345678', invalid_after_due_date: true } }],
];

/** What is wrong with how the page stands, as lines of text. Runs in the page. */
function faults() {
  const found = [];
  const over = document.documentElement.scrollWidth - innerWidth;
  if (over > 0) found.push(`${over} pixels beyond the right edge`);
  if (document.querySelectorAll('h1').length !== 1) found.push('not exactly one h1');
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
  found.push(...ids.filter((id, at) => ids.indexOf(id) !== at).map((id) => `id ${id} twice`));
  const name = (element) => element.getAttribute('aria-label') || element.labels?.[0]?.textContent.trim() || element.textContent.trim();
  for (const element of document.querySelectorAll('a, button, input, select, textarea')) {
    if (!name(element)) found.push(`no name: ${element.outerHTML.slice(0, 80)}`);
    const box = element.getBoundingClientRect();
    const small = box.width > 1 && (box.height < 24 || box.width < 24);
    // WCAG 2.2, 2.5.8; links inside text are exempt.
    if (small && !element.closest('p, .text, label')) found.push(`a target of ${box.width}x${box.height}: ${name(element)}`);
  }
  // A colour as the browser paints it, in sRGB.
  const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const colour = (text) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = text;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const paint = colour(getComputedStyle(one).backgroundColor);
      if (paint[3] === 255) return paint;
    }
    return colour(getComputedStyle(document.documentElement).colorScheme.includes('dark') ? '#000' : '#fff');
  };
  const light = (paint) => {
    const [r, g, b] = paint.slice(0, 3).map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || element.closest('.unseen, noscript, script, [hidden]') || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const [one, other] = [light(colour(style.color)), light(ground(element))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    // WCAG 2.2, 1.4.3 (AA).
    if (contrast < (large ? 3 : 4.5)) found.push(`contrast ${contrast.toFixed(2)}: ${texts.currentNode.data.trim().slice(0, 40)}`);
  }
  return [...new Set(found)];
}

async function look(browser, house, name, options, id) {
  const visitor = await Visitor.arrive(browser, house, options);
  const { page } = visitor;
  const check = async (view) => assert.deepEqual(await page.evaluate(faults), [], `${name}, ${view}`);
  await page.locator('#token').waitFor();
  await visitor.shot(`${name}-sign-in`);
  await check('sign-in');
  await visitor.signIn('paola');
  for (const view of VIEWS) {
    await visitor.go({ message: `#/message/${id}`, search: '#/search?q=scade' }[view] ?? `#/${view}`);
    await visitor.shot(`${name}-${view}`, { whole: !name.startsWith('phone') });
    await check(view);
    if (view !== 'preferences') continue;
    await page.locator('.matrix').scrollIntoViewIfNeeded();
    await page.locator('.group').first().evaluate((group) => group.scrollIntoView());
    await visitor.shot(`${name}-matrix`);
  }
  const language = await page.evaluate(() => document.documentElement.lang);
  assert.equal(language, options.locale.slice(0, 2));
  await visitor.leave(/^404 GET .*user-data-processing/);
}

export async function run(browser, house) {
  await house.settle('paola');
  const ids = [];
  for (const [service, subject, more] of ARRIVALS) {
    ids.push(await house.send(service, 'paola', subject, more));
    await house.channels(service, 'paola', ids.at(-1));
  }
  for (const id of ids.slice(0, 2)) {
    await house.as('paola', 'PUT', `/api/communication/v1/messages/${id}/status`, { change_type: 'reading', is_read: true });
  }
  const phone = { viewport: { width: 360, height: 800 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
  await look(browser, house, 'desk-it', { locale: 'it-IT' }, ids.at(-1));
  await look(browser, house, 'desk-dark-en', { locale: 'en-GB', colorScheme: 'dark' }, ids.at(-1));
  await look(browser, house, 'phone-it', { locale: 'it-IT', ...phone }, ids.at(-1));
  await look(browser, house, 'phone-dark-en', { locale: 'en-GB', colorScheme: 'dark', ...phone }, ids.at(-1));
}
