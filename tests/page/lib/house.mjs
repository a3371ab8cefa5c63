// The server as its operators and senders use it, and the simulators' own books.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds for anything to happen. */
export const LIMIT = 20_000;

/** Asks every 50 ms until `look` gives something. */
export async function until(what, look) {
  const end = Date.now() + LIMIT;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < end, `${what}: not within ${LIMIT / 1000} s`);
    await sleep(50);
  }
}

const SENDERS = [
  ['00514490010', 'Comune di Torino', [['tari', 'TARI – Tassa sui rifiuti'], ['anagrafe', 'Carta d’identità e anagrafe'], ['mense', 'Mense scolastiche']]],
  ['80087670016', 'Regione Piemonte', [['bollo', 'Bollo auto'], ['sanita', 'Prenotazioni sanitarie']]],
  ['80078750587', 'INPS', [['assegno', 'Assegno unico universale per i figli a carico'], ['pensioni', 'Pensioni']]],
];

const TEXT = {
  tari: `# La prima rata

È disponibile l’**avviso di pagamento** della TARI per la *prima rata*. Puoi pagare da questo messaggio, con il numero avviso qui sopra.

- superficie: 84 m²
- componenti del nucleo: 3
- riduzione: \`10%\`

1. Controlla i dati.
2. Paga entro la scadenza.

> Se hai già pagato, non tenere conto di questo messaggio.

Maggiori informazioni su [comune.torino.it](https://www.comune.torino.it/tari).`,
  plain: 'Gentile cittadina, questo messaggio ti informa di una scadenza che ti riguarda e di ciò che puoi fare: trovi i dettagli sul sito dell’ente.',
};

export class House {
  #setting;
  #keys = new Map();

  constructor(setting) {
    this.#setting = setting;
  }

  static async open(file) {
    return new House(JSON.parse(await readFile(file, 'utf8')));
  }

  get base() { return this.#setting.base; }
  get shots() { return this.#setting.shots; }
  get chromium() { return this.#setting.chromium; }

  /** A citizen of the setting: `{fiscal_code, token}`. */
  citizen(name) {
    return this.#setting.citizens[name];
  }

  async #ask(method, path, headers, body) {
    const response = await fetch(this.base + path, { method, headers, body });
    const text = await response.text();
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
    return text === '' ? null : JSON.parse(text);
  }

  operate(method, path, body, kind = 'application/json') {
    const headers = { Authorization: `Bearer ${this.#setting.admin_key}`, 'Content-Type': kind };
    return this.#ask(method, `/api/operator/v1${path}`, headers, typeof body === 'string' ? body : JSON.stringify(body));
  }

  /** The citizen API as `name` calls it, without the page. */
  as(name, method, path, body) {
    const headers = { Authorization: `Bearer ${this.citizen(name).token}`, 'Content-Type': 'application/json' };
    return this.#ask(method, path, headers, body && JSON.stringify(body));
  }

  /** Organisations, services and their keys. */
  async furnish() {
    for (const [code, name, services] of SENDERS) {
      await this.operate('PUT', `/organizations/${code}`, { name });
      for (const [id, service] of services) {
        const document = { name: service, organization_fiscal_code: code, max_allowed_payment_amount: 1_000_000 };
        await this.operate('PUT', `/services/${id}`, document);
        const { key } = await this.operate('POST', '/keys', { name: `prova ${id}`, role: 'sender', service_id: id });
        this.#keys.set(id, key);
      }
    }
  }

  /** Registers citizens of the setting with an address and two devices each. */
  async settle(...names) {
    const line = (name) => JSON.stringify({
      fiscal_code: this.citizen(name).fiscal_code, email: `${name}@posta.example`, email_validated: true,
      languages: ['it_IT'], preferences_mode: 'AUTO', is_inbox_enabled: true, is_email_enabled: true, is_push_enabled: true,
      devices: [{ platform: 'apns', token: Buffer.from(name).toString('hex').padEnd(64, '0') }, { platform: 'fcm', token: `${name.padEnd(22, '0')}:APA91b${'0'.repeat(123)}` }],
    });
    const answer = await this.operate('POST', '/citizens', `${names.map(line).join('\n')}\n`, 'application/x-ndjson');
    assert.equal(answer.refused, 0, JSON.stringify(answer));
  }

  /** Sends a message of `service`; its id. */
  async send(service, to, subject, { text = 'plain', ...more } = {}) {
    const body = { fiscal_code: this.citizen(to).fiscal_code, content: { subject, markdown: TEXT[text] ?? text, ...more } };
    const headers = { 'Ocp-Apim-Subscription-Key': this.#keys.get(service), 'Content-Type': 'application/json' };
    return (await this.#ask('POST', '/api/v1/messages', headers, JSON.stringify(body))).id;
  }

  /** Channels by which a message was delivered, once nothing of it is pending; the server's account. */
  async channels(service, to, id) {
    const headers = { 'Ocp-Apim-Subscription-Key': this.#keys.get(service) };
    const path = `/api/v1/messages/${this.citizen(to).fiscal_code}/${id}`;
    const settled = await until(`message ${id} at rest`, async () => {
      const found = await this.#ask('GET', path, headers);
      return found.status !== 'ACCEPTED' && found.delivery.every(({ state }) => state !== 'pending') && found;
    });
    assert.deepEqual(settled.delivery.filter(({ state }) => state === 'failed'), []);
    return [...new Set(settled.delivery.filter(({ state }) => state === 'delivered').map(({ channel }) => channel))].sort();
  }

  /** Deliveries of a message that providers took; the simulators' account: `{push, email}`. */
  async arrived(id) {
    const count = async (address) => {
      const text = await (await fetch(`${address}/deliveries`)).text();
      return text.split('\n').filter(Boolean).filter((line) => JSON.parse(line).message === id).length;
    };
    const pushes = await Promise.all(this.#setting.push.map(count));
    return { push: pushes.reduce((sum, one) => sum + one, 0), email: await count(this.#setting.relay) };
  }
}

/** A wire to the server that can be cut. */
export class Wire {
  #server;
  #sockets = new Set();
  #cut = false;
  base;

  static async lay(base) {
    const wire = new Wire();
    const { hostname, port } = new URL(base);
    wire.#server = net.createServer((here) => {
      if (wire.#cut) return here.destroy();
      const there = net.connect(Number(port), hostname);
      for (const [one, other] of [[here, there], [there, here]]) {
        wire.#sockets.add(one);
        one.pipe(other);
        one.on('error', () => other.destroy());
        one.on('close', () => { wire.#sockets.delete(one); other.destroy(); });
      }
    });
    await new Promise((resolve) => wire.#server.listen(0, '127.0.0.1', resolve));
    wire.base = `http://127.0.0.1:${wire.#server.address().port}`;
    return wire;
  }

  cut() {
    this.#cut = true;
    this.#sockets.forEach((socket) => socket.destroy());
  }

  mend() {
    this.#cut = false;
  }

  close() {
    this.cut();
    this.#server.close();
  }
}
