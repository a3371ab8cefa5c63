// The page's modules by themselves, in the browser they are written for.

import assert from 'node:assert/strict';
import { Visitor } from '../lib/browser.mjs';

/** Markdown and the text of the markup it becomes. */
const MARKDOWN = [
  ['# Titolo #\n\nUn *testo* **forte** e `codice`', '<h2>Titolo</h2><p>Un <em>testo</em> <strong>forte</strong> e <code>codice</code></p>'],
  ['riga\nriga  \naltra', '<p>riga\nriga  <br>altra</p>'],
  ['- uno\n- due\n  - dentro\n\n1. primo\n2. secondo', '<ul><li>uno</li><li>due<ul><li>dentro</li></ul></li></ul><ol><li>primo</li><li>secondo</li></ol>'],
  ['3) tre\n4) quattro', '<ol start="3"><li>tre</li><li>quattro</li></ol>'],
  ['> citato\n> ancora\n\n---\n\n```\n<b> *no*\n```', '<blockquote><p>citato\nancora</p></blockquote><hr><pre tabindex="0"><code>&lt;b&gt; *no*</code></pre>'],
  ['<script>alert(1)</script> <img src=x onerror=alert(1)>', '<p>&lt;script&gt;alert(1)&lt;/script&gt; &lt;img src=x onerror=alert(1)&gt;</p>'],
  ['[a](javascript:alert) [b](data:text/html,x) [c](/app) ![d](https://x.example/p.png)', '<p>a b c d</p>'],
  ['[utente](https://comune.example@male.example/x)', '<p>utente</p>'],
  ['2 * 3 * 4, snake_case_name, \\*non\\* \\# e **aperto', '<p>2 * 3 * 4, snake_case_name, *non* # e **aperto</p>'],
  ['***tutto*** e _così_', '<p><em><strong>tutto</strong></em> e <em>così</em></p>'],
  ['---\nit:\n  cta_1:\n    text: "Vai"\n---\nTesto', '<p>Testo</p>'],
  ['---\nTesto tra due righe.\n\n---\n\nAltro', '<hr><p>Testo tra due righe.</p><hr><p>Altro</p>'],
];

async function markdown(page) {
  const made = await page.evaluate(async (sources) => {
    const { parse, render } = await import('/app/markdown.js');
    return sources.map((source) => {
      const place = document.createElement('div');
      place.append(render(parse(source), { newWindow: 'altrove' }));
      return place.innerHTML;
    });
  }, MARKDOWN.map(([source]) => source));
  MARKDOWN.forEach(([source, expected], index) => assert.equal(made[index], expected, source));
  const links = await page.evaluate(async () => {
    const { parse, render } = await import('/app/markdown.js');
    const place = document.createElement('div');
    place.append(render(parse('[x](https://a.example/1 "t"), <http://b.example/>, https://c.example/p_q_r. Fine'), { newWindow: 'altrove' }));
    return [...place.querySelectorAll('a')].map((link) => [link.href, link.rel, link.target]);
  });
  const safe = ['noopener noreferrer', '_blank'];
  assert.deepEqual(links, [['https://a.example/1', ...safe], ['http://b.example/', ...safe], ['https://c.example/p_q_r', ...safe]]);
}

/** The longest messages of the contract, made to be slow. */
async function patience(page) {
  const slowest = await page.evaluate(async () => {
    const { parse } = await import('/app/markdown.js');
    const pieces = ['*a ', '**a*', '[', '[a](', '`', '` `` ', '_a_ ', '> ', '- ', '# ', '<http://', 'https://a ', '\\', '![', '***', '\n', '1. a\n  ', '*_'];
    const times = pieces.map((piece) => {
      const start = performance.now();
      parse(piece.repeat(10_000 / piece.length));
      return [performance.now() - start, piece];
    });
    return times.sort(([one], [other]) => other - one)[0];
  });
  assert.ok(slowest[0] < 1_000, `parsing takes ${slowest[0]} ms for ${JSON.stringify(slowest[1])}`);
}

async function calendar(page) {
  const file = await page.evaluate(async () => {
    const { calendarFile } = await import('/app/calendar.js');
    return calendarFile({ id: '01X', due: new Date('2027-03-31T22:00:00Z'), now: new Date('2027-01-01T08:00:00Z'), title: 'TARI; prima rata, 2027', text: `Perché è così\n${'lunghissimo '.repeat(20)}` });
  });
  assert.ok(file.startsWith('BEGIN:VCALENDAR\r\nVERSION:2.0\r\n') && file.endsWith('END:VCALENDAR\r\n'));
  for (const line of file.split('\r\n')) assert.ok(Buffer.byteLength(line) <= 75, line);
  const unfolded = file.replaceAll('\r\n ', '');
  for (const line of ['UID:01X@araldo', 'DTSTART:20270331T220000Z', 'DTSTAMP:20270101T080000Z', 'SUMMARY:TARI\\; prima rata\\, 2027', 'TRIGGER:-P1D']) {
    assert.ok(unfolded.includes(`${line}\r\n`), line);
  }
  assert.ok(unfolded.includes('DESCRIPTION:Perché è così\\nlunghissimo'));
}

async function stream(page) {
  const [taken, tooLong, pauses] = await page.evaluate(async () => {
    const { EventReader, pause } = await import('/app/events.js');
    const events = [];
    const wire = ': vivo\r\n\r\nevent: ready\nid: 7\ndata: {}\n\ndata: a\ndata: b\r\rid: 9\nevent: status\ndata:{"x":1}\n\nevent: nothing\n\n';
    for (const size of [1, 3, wire.length]) {
      const reader = new EventReader((event) => events.push(event));
      for (let at = 0; at < wire.length; at += size) reader.read(wire.slice(at, at + size));
    }
    let refused = false;
    try {
      const reader = new EventReader(() => {});
      for (let count = 0; count < 20; count += 1) reader.read('x'.repeat(100_000));
    } catch {
      refused = true;
    }
    return [events, refused, [1, 2, 3, 20].map((tries) => [pause(tries, 0), pause(tries, 1)])];
  });
  const once = [{ event: 'ready', id: '7', data: '{}' }, { event: 'message', id: '7', data: 'a\nb' }, { event: 'status', id: '9', data: '{"x":1}' }];
  assert.deepEqual(taken, [...once, ...once, ...once]);
  assert.ok(tooLong);
  assert.deepEqual(pauses, [[500, 1_000], [1_000, 2_000], [2_000, 4_000], [15_000, 30_000]]);
}

async function words(page) {
  const [missing, unknown] = await page.evaluate(async () => {
    const { italian } = await import('/app/italian.js');
    const { english } = await import('/app/english.js');
    const places = (text) => (text.match(/\{\w+\}/g) ?? []).sort().join();
    const both = new Set([...Object.keys(italian), ...Object.keys(english)]);
    const gone = [...both].filter((name) => !italian[name] || !english[name] || places(italian[name]) !== places(english[name]));
    const files = [...new Set(performance.getEntriesByType('resource').map(({ name }) => name))].filter((name) => name.endsWith('.js'));
    const used = new Set();
    for (const file of files) {
      const text = await (await fetch(file)).text();
      for (const [, name] of text.matchAll(/\bt\('([\w.]+)'/g)) used.add(name);
    }
    return [gone, [...used].filter((name) => !both.has(name))];
  });
  assert.deepEqual(missing, [], 'words in one language only');
  assert.deepEqual(unknown, [], 'words that are in neither');
}

/** How the page is served: nothing inline, nothing from elsewhere, asked about again. */
async function served(house) {
  const page = await fetch(`${house.base}/app`);
  const policy = page.headers.get('content-security-policy');
  for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "trusted-types 'none'"]) {
    assert.ok(policy.split('; ').includes(rule), `${rule} is missing: ${policy}`);
  }
  assert.ok(!policy.includes('unsafe'), policy);
  assert.equal(page.headers.get('cache-control'), 'no-cache');
  assert.equal(page.headers.get('x-content-type-options'), 'nosniff');
  assert.equal(page.headers.get('referrer-policy'), 'no-referrer');
  const again = await fetch(`${house.base}/app/main.js`, { headers: { 'If-None-Match': (await fetch(`${house.base}/app/main.js`)).headers.get('etag') } });
  assert.equal(again.status, 304);
  assert.equal((await fetch(`${house.base}/app/none.js`)).status, 404);
}

export async function run(browser, house) {
  const visitor = await Visitor.arrive(browser, house);
  for (const check of [markdown, patience, calendar, stream, words]) await check(visitor.page);
  await visitor.leave();
  await served(house);
}
