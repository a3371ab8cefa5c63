// Runs scenarios one after the other; see README.md.

import { launch } from './lib/browser.mjs';
import { House } from './lib/house.mjs';

const [file, ...names] = process.argv.slice(2);
const house = await House.open(file);
await house.furnish();
const browser = await launch(house);
try {
  for (const name of names) {
    const { run } = await import(`./scenario/${name}.mjs`);
    const start = Date.now();
    await run(browser, house);
    console.log(`${name}: ok, ${((Date.now() - start) / 1000).toFixed(1)} s`);
  }
} finally {
  await browser.close();
}
