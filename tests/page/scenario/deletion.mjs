// The end of an account, where there is no grace period, and a first visit.

import assert from 'node:assert/strict';
import { Visitor } from '../lib/browser.mjs';

export async function run(browser, house) {
  await house.settle('anna');
  const id = await house.send('anagrafe', 'anna', 'La carta d’identità è pronta');
  await house.channels('anagrafe', 'anna', id);
  const visitor = await Visitor.arrive(browser, house, { locale: 'en-GB' });
  const { page } = visitor;
  await visitor.signIn('anna');
  await page.locator(`.row[data-id="${id}"]`).waitFor();
  await visitor.go('#/data');
  await page.getByRole('button', { name: 'Delete the account…' }).click();
  await page.getByRole('dialog').getByRole('textbox').fill('DELETE');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete everything' }).click();
  await visitor.text('Your account and all of your data have been deleted.');
  await visitor.shot('deleted');
  assert.equal(await page.evaluate(() => sessionStorage.getItem('araldo.token')), null);
  const gone = await house.as('anna', 'GET', '/api/identity/v1/profile');
  assert.equal(gone.has_profile, false);
  assert.deepEqual((await house.as('anna', 'GET', '/api/communication/v1/messages')).items, []);
  assert.deepEqual(await house.channels('anagrafe', 'anna', await house.send('anagrafe', 'anna', 'Un messaggio per nessuno')), []);

  // Whoever comes back is a new citizen.
  await page.getByLabel('Access token').fill(house.citizen('anna').token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Welcome' }).waitFor();
  await visitor.shot('first-visit');
  await page.getByRole('button', { name: 'Activate the profile' }).click();
  await visitor.text('No messages');
  await visitor.text('Live');
  const fresh = await house.send('anagrafe', 'anna', 'Benvenuta: il tuo profilo è attivo');
  await page.locator(`.row[data-id="${fresh}"]`).waitFor();
  assert.equal(await page.locator('.row').count(), 1);
  await visitor.leave(/^404 GET .*user-data-processing/);
}
