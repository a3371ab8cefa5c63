// The main actions without a mouse: the focus is always seen, and never lost.

import assert from 'node:assert/strict';
import { Visitor } from '../lib/browser.mjs';

/** What has the focus, in words; fails where it is not to be seen. */
async function focused(page) {
  const found = await page.evaluate(() => {
    const { activeElement: element } = document;
    const style = getComputedStyle(element.matches('.option input') ? element.closest('.option') : element);
    const box = element.getBoundingClientRect();
    return {
      words: element.getAttribute('aria-label') || element.labels?.[0]?.textContent || element.textContent.trim(),
      seen: style.outlineStyle !== 'none' && box.width > 0 && box.bottom > 0 && box.top < innerHeight,
      tag: element.tagName,
    };
  });
  assert.ok(found.seen || ['H1', 'MAIN', 'BODY'].includes(found.tag), `the focus on ${found.tag} “${found.words}” cannot be seen`);
  return found;
}

/** Presses Tab until what is wanted has the focus. */
async function tabTo(page, wanted) {
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press('Tab');
    if (wanted.test((await focused(page)).words)) return;
  }
  assert.fail(`${wanted} cannot be reached by Tab`);
}

const heading = (page) => page.waitForFunction(() => document.activeElement.matches('h1'));

export async function run(browser, house) {
  await house.settle('anna');
  const id = await house.send('anagrafe', 'anna', 'La carta d’identità scade tra 90 giorni');
  await house.channels('anagrafe', 'anna', id);
  const visitor = await Visitor.arrive(browser, house);
  const { page } = visitor;
  await tabTo(page, /^Vai al contenuto$/);
  await page.keyboard.press('Enter');
  await tabTo(page, /^Token di accesso/);
  await page.keyboard.insertText(house.citizen('anna').token);
  await tabTo(page, /^Accedi$/);
  await page.keyboard.press('Enter');
  await page.locator('.row').waitFor();
  await heading(page);

  await tabTo(page, /La carta d’identità scade/);
  await visitor.shot('keyboard');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'La carta d’identità scade tra 90 giorni' }).waitFor();
  await heading(page);
  await page.keyboard.press('Shift+Tab');
  assert.match((await focused(page)).words, /^Archivia$/);
  await page.keyboard.press('Enter');
  await visitor.note('Messaggio archiviato');
  assert.match((await focused(page)).words, /^Riporta tra gli arrivi$/);
  await tabTo(page, /^Annulla$/);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Archivia' }).waitFor();

  await visitor.go('#/preferences');
  await heading(page);
  await tabTo(page, /^E-mail da Carta d’identità e anagrafe$/);
  const answered = page.waitForResponse((response) => /anagrafe\/preferences$/.test(response.url()));
  await page.keyboard.press('Space');
  await answered;
  assert.equal(await page.getByRole('switch', { name: 'E-mail da Carta d’identità e anagrafe' }).isChecked(), false);
  assert.match((await focused(page)).words, /^E-mail da Carta/);
  await page.waitForFunction(() => document.getElementById('polite').textContent === 'Carta d’identità e anagrafe: E-mail spento.');

  await visitor.go('#/data');
  await tabTo(page, /^Cancella l’account…$/);
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  assert.match((await focused(page)).words, /^Scrivi CANCELLA$/);
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !document.querySelector('dialog'));
  assert.match((await focused(page)).words, /^Cancella l’account…$/);

  await tabTo(page, /^ENEnglish$/);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'My data' }).waitFor();
  assert.match((await focused(page)).words, /^ENEnglish$/);
  await visitor.leave(/^404 GET .*user-data-processing/);
}
