// A headless Chromium and what it must not do.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { LIMIT } from './house.mjs';

const ARGUMENTS = ['--headless', '--no-sandbox', '--disable-quic', '--disable-background-networking'];

/** The browser of the setting. */
export const launch = (house) => chromium.launch({ executablePath: house.chromium, args: ARGUMENTS });

/** Somebody at the page, watched. */
export class Visitor {
  #faults = [];
  #refusals = [];
  #house;

  static async arrive(browser, house, { base = house.base, ...options } = {}) {
    const visitor = new Visitor();
    visitor.#house = house;
    visitor.base = base;
    visitor.context = await browser.newContext({ locale: 'it-IT', timezoneId: 'Europe/Rome', viewport: { width: 1280, height: 900 }, acceptDownloads: true, ...options });
    visitor.context.setDefaultTimeout(LIMIT);
    visitor.page = await visitor.context.newPage();
    visitor.#watch();
    await visitor.page.goto(`${base}/app`);
    return visitor;
  }

  #watch() {
    const { page, base } = this;
    page.on('pageerror', (error) => this.#faults.push(`exception: ${error.stack}`));
    page.on('console', (message) => {
      // Refusals are told one by one below.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) this.#faults.push(`console: ${message.text()}`);
    });
    page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.origin !== base && url.protocol !== 'blob:') this.#faults.push(`another host: ${url.origin}`);
    });
    page.on('response', (response) => {
      if (response.status() >= 400) this.#refusals.push(`${response.status()} ${response.request().method()} ${new URL(response.url()).pathname}`);
    });
  }

  /** Signs in by the address, as a link would. */
  async signIn(name) {
    await this.page.goto(`${this.base}/app#token=${this.#house.citizen(name).token}`);
    await this.page.locator('.menu').waitFor();
  }

  async go(hash) {
    await this.page.evaluate((to) => { location.hash = to; }, hash);
    await this.page.locator('main h1').first().waitFor();
    await this.page.waitForFunction(() => !document.querySelector('main .loading'));
  }

  text(text) {
    return this.page.getByText(text).first().waitFor();
  }

  async note(text) {
    await this.page.locator('.note', { hasText: text }).first().waitFor();
  }

  /** A picture of the window, or of all of the view. */
  async shot(name, { whole = false } = {}) {
    await mkdir(this.#house.shots, { recursive: true });
    await this.page.evaluate(() => document.getAnimations().forEach((animation) => animation.finish()));
    await this.page.screenshot({ path: path.join(this.#house.shots, `${name}.png`), fullPage: whole });
  }

  /** Leaves; nothing may have gone wrong but the refusals named. */
  async leave(...expected) {
    const surprises = this.#refusals.filter((refusal) => !expected.some((form) => form.test(refusal)));
    await this.context.close();
    assert.deepEqual([...this.#faults, ...surprises], []);
  }
}
