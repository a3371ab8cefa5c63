// The live session: one long answer, read as it comes, and taken up again
// where it broke.

import { authorization, LIVE, refusal } from './api.js';
import { EventReader, pause } from './events.js';
import { end } from './session.js';

/** Milliseconds of silence after which a connection counts as dead; the server speaks every 20 s. */
const SILENCE = 65_000;

/** Keeps a session open until `stop()`; tells `listener` events and states: connecting, live, waiting. */
export class Live {
  #last = null;
  #tries = 0;
  #stopped = false;
  #connection = null;
  #wake = null;
  #listener;
  #hurry = () => this.#hurryUp();

  constructor(listener) {
    this.#listener = listener;
    addEventListener('online', this.#hurry);
    document.addEventListener('visibilitychange', this.#hurry);
    this.#run();
  }

  stop() {
    this.#stopped = true;
    removeEventListener('online', this.#hurry);
    document.removeEventListener('visibilitychange', this.#hurry);
    this.#connection?.abort();
    this.#wake?.();
  }

  async #run() {
    while (!this.#stopped) {
      this.#listener.state('connecting');
      const wait = await this.#connect();
      if (this.#stopped) return;
      this.#tries += 1;
      this.#listener.state('waiting');
      await this.#sleep(Math.max(pause(this.#tries), wait * 1000));
    }
  }

  /** Reads until the connection ends; seconds the server asked to wait. */
  async #connect() {
    this.#connection = new AbortController();
    const { signal } = this.#connection;
    let timer = this.#watch();
    try {
      const headers = { ...authorization(), Accept: 'text/event-stream' };
      if (this.#last !== null) headers['Last-Event-ID'] = this.#last;
      const response = await fetch(LIVE, { headers, signal, cache: 'no-store', credentials: 'omit' });
      if (!response.ok) return this.#refused(await refusal(response));
      this.#listener.state('live');
      const reader = new EventReader((event) => this.#take(event));
      const bytes = response.body.getReader();
      const text = new TextDecoder();
      for (;;) {
        const { done, value } = await bytes.read();
        if (done) return 0;
        clearTimeout(timer);
        timer = this.#watch();
        reader.read(text.decode(value, { stream: true }));
        // Only now: an event that cannot be taken in must not be asked for in haste.
        this.#tries = 0;
      }
    } catch {
      // Broken or given up: what was missed comes with the next connection.
      return 0;
    } finally {
      clearTimeout(timer);
      this.#connection.abort();
    }
  }

  #watch() {
    const connection = this.#connection;
    return setTimeout(() => connection.abort(), SILENCE);
  }

  #refused(error) {
    if (error.status === 401) end('expired');
    return error.retryAfter ?? 0;
  }

  #take({ event, id, data }) {
    // The place is kept only once the event has been taken in.
    this.#listener.event(event, JSON.parse(data));
    if (id !== null) this.#last = id;
  }

  #sleep(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => { clearTimeout(timer); resolve(); };
    });
  }

  #hurryUp() {
    if (document.visibilityState === 'visible' && navigator.onLine !== false) this.#wake?.();
  }
}
