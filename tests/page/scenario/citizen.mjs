// A citizen's whole visit: what arrives, what is decided, what is taken along.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { Visitor } from '../lib/browser.mjs';
import { until, Wire } from '../lib/house.mjs';

const DAY = 86_400_000;
const PAYMENT = { amount: 12_850, notice_number: '301000000012345678', invalid_after_due_date: true };

async function signIn(visitor, house) {
  const { page } = visitor;
  const field = page.getByLabel('Token di accesso');
  const enter = page.getByRole('button', { name: 'Accedi' });
  await enter.click();
  await visitor.text('Incolla il token di accesso.');
  await field.fill('questo.non.vale');
  await enter.click();
  await visitor.text('La sessione è finita o il token non è valido');
  await field.fill(` ${house.citizen('maria').token}\n`);
  await enter.click();
  await page.getByRole('heading', { name: 'Messaggi', level: 1 }).waitFor();
  const kept = await page.evaluate(() => [location.href, localStorage.length, document.cookie, Object.keys(sessionStorage).join()]);
  assert.deepEqual(kept, [`${visitor.base}/app`, 0, '', 'araldo.token']);
  await visitor.text('In diretta');
}

/** A message of the sender API is there without a reload, and once also after the connection broke. */
async function live(visitor, house, wire) {
  const { page } = visitor;
  await page.evaluate(() => { window.sameDocument = true; });
  const due_date = new Date(Date.now() + 12 * DAY).toISOString();
  const id = await house.send('tari', 'maria', 'TARI: avviso di pagamento della prima rata', { text: 'tari', due_date, payment_data: PAYMENT });
  const row = page.locator(`.row[data-id="${id}"]`);
  await row.waitFor();
  assert.match(await row.getAttribute('class'), /unread/);
  // Said a moment after it is shown, so that it is heard.
  await page.locator('#polite', { hasText: 'Nuovo messaggio da Comune di Torino: TARI' }).waitFor({ state: 'attached' });
  assert.deepEqual(await house.channels('tari', 'maria', id), ['email', 'in_app', 'push']);
  wire.cut();
  await visitor.text('Collegamento interrotto');
  const missed = await house.send('mense', 'maria', 'Mensa: menu della settimana prossima');
  await house.channels('mense', 'maria', missed);
  wire.mend();
  await page.locator(`.row[data-id="${missed}"]`).waitFor();
  await visitor.text('In diretta');
  assert.equal(await page.locator('.row').count(), 2);
  assert.equal(await page.evaluate(() => window.sameDocument), true, 'the page was loaded anew');
  await visitor.shot('inbox');
  return id;
}

async function message(visitor, house, id) {
  const { page } = visitor;
  await page.locator(`.row[data-id="${id}"] a`).click();
  await page.getByRole('heading', { name: 'TARI: avviso di pagamento della prima rata', level: 1 }).waitFor();
  await visitor.text('128,50 €');
  await visitor.text('3010 0000 0012 3456 78');
  await visitor.text('tra 12 giorni');
  assert.equal(await page.locator('.fact.pay dd').nth(1).textContent(), 'Comune di Torino');
  assert.equal(await page.locator('.text strong').first().textContent(), 'avviso di pagamento');
  await visitor.shot('message', { whole: true });
  await page.getByRole('button', { name: 'Copia il numero' }).click();
  await visitor.note('Numero avviso copiato');
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), PAYMENT.notice_number);
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Aggiungi al calendario' }).click()]);
  const file = await readFile(await download.path(), 'utf8');
  assert.match(file, /BEGIN:VEVENT\r\nUID:\w{26}@araldo/);
  await until('marked read', async () => (await house.as('maria', 'GET', `/api/communication/v1/messages/${id}?public_message=true`)).is_read);
}

async function archive(visitor, house, id) {
  const { page } = visitor;
  await page.getByRole('button', { name: 'Archivia' }).click();
  await visitor.note('Messaggio archiviato');
  await visitor.go('#/archive');
  await page.locator(`.row[data-id="${id}"]`).waitFor();
  await visitor.go('#/inbox');
  assert.equal(await page.locator(`.row[data-id="${id}"]`).count(), 0);
  // Another of the citizen's apps takes it back: this page is told.
  await house.as('maria', 'PUT', `/api/communication/v1/messages/${id}/status`, { change_type: 'archiving', is_archived: false });
  await page.locator(`.row[data-id="${id}"]:not(.unread)`).waitFor();
  await page.getByRole('searchbox').fill('mensa');
  await page.keyboard.press('Enter');
  await visitor.text('Risultati per «mensa»');
  await page.locator('.row', { hasText: 'Mensa: menu' }).waitFor();
  assert.equal(await page.locator('.row').count(), 1);
}

/** A switch of the matrix is turned and the next message keeps to it. */
async function preferences(visitor, house) {
  const { page } = visitor;
  await visitor.go('#/preferences?q=tassa');
  await visitor.text('Comune di Torino');
  assert.equal(await page.locator('.service').count(), 1);
  const turn = async (channel, on) => {
    const answered = page.waitForResponse((response) => /tari\/preferences$/.test(response.url()) && response.request().method() === 'POST');
    await page.getByRole('switch', { name: `${channel} da TARI – Tassa sui rifiuti` }).setChecked(on);
    assert.equal((await answered).status(), 200);
  };
  const next = async (expected) => {
    const id = await house.send('tari', 'maria', 'TARI: promemoria della scadenza', { text: 'tari' });
    assert.deepEqual(await house.channels('tari', 'maria', id), expected);
    assert.deepEqual(await house.arrived(id), { push: expected.includes('push') ? 2 : 0, email: expected.includes('email') ? 1 : 0 });
  };
  await next(['email', 'in_app', 'push']);
  await turn('E-mail', false);
  await next(['in_app', 'push']);
  await turn('Push', false);
  await next(['in_app']);
  await turn('E-mail', true);
  await next(['email', 'in_app']);
  await turn('Push', true);
  await turn('In app', false);
  await visitor.text('questo servizio non può scriverti affatto');
  await next([]);
  await turn('In app', true);
  await next(['email', 'in_app', 'push']);
  const general = page.getByRole('switch', { name: 'Notifiche push', exact: true });
  await general.click();
  await visitor.note('Notifiche push: spento per tutti i servizi.');
  await next(['email', 'in_app']);
  await general.click();
  await visitor.note('Notifiche push: acceso per tutti i servizi.');
}

async function mode(visitor, house) {
  const { page } = visitor;
  await page.getByLabel('Spenti finché non li accendo').click();
  await page.getByRole('dialog').getByRole('button', { name: 'Annulla' }).click();
  assert.equal((await house.as('maria', 'GET', '/api/identity/v1/profile')).service_preferences_settings.mode, 'AUTO');
  await page.locator('#mode-AUTO:checked').waitFor();
  await page.getByLabel('Spenti finché non li accendo').click();
  await page.getByRole('button', { name: 'Cambia il modo' }).click();
  await visitor.note('Modo cambiato');
  const refused = await house.send('bollo', 'maria', 'Bollo auto: promemoria');
  assert.deepEqual(await house.channels('bollo', 'maria', refused), []);
  await page.waitForFunction(() => [...document.querySelectorAll('.service [role=switch]')].every((one) => !one.checked));
  await page.getByLabel('Accesi finché non li spengo').click();
  await page.getByRole('button', { name: 'Cambia il modo' }).click();
  await page.waitForFunction(() => [...document.querySelectorAll('.service [role=switch]')].every((one) => one.checked));
}

async function profile(visitor, house) {
  const { page } = visitor;
  await visitor.go('#/profile');
  await visitor.text('Confermato');
  const field = page.getByRole('textbox', { name: 'Indirizzo e-mail' });
  const save = page.getByRole('button', { name: 'Salva l’indirizzo' });
  await field.fill('nessuno');
  await save.click();
  await visitor.text('Scrivi un indirizzo come nome@esempio.it.');
  await field.fill('luca@posta.example');
  await save.click();
  await visitor.text('già confermato da un’altra persona');
  await field.fill('maria.nuova@posta.example');
  await save.click();
  await visitor.note('Indirizzo salvato');
  await visitor.text('Da confermare');
  await page.getByRole('button', { name: 'Invia di nuovo il link' }).click();
  await visitor.note('Link inviato');
  // Somebody else changes the profile: the page's change is refused and said.
  const { version } = await house.as('maria', 'GET', '/api/identity/v1/profile');
  await house.as('maria', 'POST', '/api/identity/v1/profile', { version, reminder_status: 'DISABLED' });
  await page.getByRole('combobox', { name: 'Lingua dei messaggi' }).selectOption('de_DE');
  await visitor.note('I dati sono stati cambiati altrove');
  await page.waitForFunction(() => document.getElementById('preferred').value === 'it_IT' && !document.getElementById('reminders').checked);
  await page.getByRole('combobox', { name: 'Lingua dei messaggi' }).selectOption('de_DE');
  await visitor.note('Lingua dei messaggi salvata');
  assert.deepEqual((await house.as('maria', 'GET', '/api/identity/v1/profile')).preferred_languages, ['de_DE', 'it_IT']);
}

async function devices(visitor, house) {
  const { page } = visitor;
  await visitor.go('#/devices');
  assert.equal(await page.locator('main .line').count(), 2);
  await page.getByRole('button', { name: /^Rimuovi: Android/ }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Rimuovi' }).click();
  await visitor.note('Dispositivo rimosso');
  await page.waitForFunction(() => document.querySelectorAll('main .line').length === 1);
  const id = await house.send('mense', 'maria', 'Mensa: sciopero di venerdì');
  assert.deepEqual(await house.channels('mense', 'maria', id), ['in_app', 'push']);
  assert.deepEqual(await house.arrived(id), { push: 1, email: 0 });
}

async function data(visitor) {
  const { page } = visitor;
  await visitor.go('#/data');
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Scarica i miei dati' }).click()]);
  await visitor.note('File scaricato');
  assert.match(download.suggestedFilename(), /^araldo-\d{4}-\d\d-\d\d\.json$/);
  const text = await readFile(await download.path(), 'utf8');
  const all = JSON.parse(text);
  assert.equal(all.format, 'araldo.user-data.v1');
  assert.ok(all.messages.some((one) => JSON.stringify(one).includes('Mensa: sciopero di venerdì')), 'a message is missing');
  assert.ok(text.includes('maria.nuova@posta.example'), 'the profile is missing');
  await visitor.shot('data');
  await page.getByRole('button', { name: 'Cancella l’account…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('textbox').fill('forse');
  await dialog.getByRole('button', { name: 'Cancella tutto' }).click();
  await visitor.text('Per confermare scrivi esattamente CANCELLA.');
  await visitor.shot('data-confirm');
  await dialog.getByRole('textbox').fill('CANCELLA');
  await dialog.getByRole('button', { name: 'Cancella tutto' }).click();
  await visitor.text('Cancellazione richiesta');
  await visitor.shot('data-pending');
  await page.getByRole('button', { name: 'Non cancellare più' }).click();
  await visitor.note('Richiesta ritirata');
  await page.getByRole('button', { name: 'Cancella l’account…' }).waitFor();
}

/** One gesture ends everything: this page, another browser's, and the devices. */
async function lostPhone(browser, house) {
  const stolen = await Visitor.arrive(browser, house);
  await stolen.signIn('luca');
  const visitor = await Visitor.arrive(browser, house);
  await visitor.signIn('luca');
  await visitor.go('#/devices');
  await visitor.page.getByRole('button', { name: 'Ho perso il telefono' }).click();
  await visitor.page.getByRole('dialog').getByRole('button', { name: 'Chiudi tutto' }).click();
  await visitor.text('tutti i dispositivi sono stati rimossi e tutte le sessioni chiuse');
  await stolen.text('La sessione è finita');
  assert.equal(await stolen.page.locator('.row').count(), 0);
  assert.equal(await stolen.page.evaluate(() => sessionStorage.getItem('araldo.token')), null);
  const id = await house.send('mense', 'luca', 'Mensa: graduatoria pubblicata');
  assert.deepEqual(await house.channels('mense', 'luca', id), ['email', 'in_app']);
  await stolen.leave(/^401 GET /);
  await visitor.leave(/^401 GET /);
}

export async function run(browser, house) {
  await house.settle('maria', 'luca');
  const wire = await Wire.lay(house.base);
  const visitor = await Visitor.arrive(browser, house, { base: wire.base, permissions: ['clipboard-read', 'clipboard-write'] });
  await signIn(visitor, house);
  const id = await live(visitor, house, wire);
  await message(visitor, house, id);
  await archive(visitor, house, id);
  await preferences(visitor, house);
  await mode(visitor, house);
  await profile(visitor, house);
  await devices(visitor, house);
  await data(visitor);
  await visitor.page.getByRole('button', { name: 'Esci' }).click();
  await visitor.text('Sei uscito.');
  await visitor.leave(/^401 GET .*profile$/, /^404 GET .*user-data-processing/, /^412 POST/, /^409 POST .*profile$/);
  wire.close();
  await lostPhone(browser, house);
}
