// Server-sent events as a stream of bytes (WHATWG HTML, 9.2.6). The browser's
// own EventSource cannot send an Authorization header.

/** Longest event taken, in characters; a longer one breaks the connection. */
const LONGEST = 1_000_000;

/** Reads text in pieces of any size and calls `take({event, id, data})` for each event. */
export class EventReader {
  #rest = '';
  #fresh = { event: '', data: [], size: 0 };
  #id = null;
  #take;

  constructor(take) {
    this.#take = take;
  }

  read(text) {
    this.#rest += text;
    let end;
    // A carriage return at the very end may be half of a CRLF: it waits.
    while ((end = /\r\n|\n|\r(?=[^])/.exec(this.#rest))) {
      const line = this.#rest.slice(0, end.index);
      this.#rest = this.#rest.slice(end.index + end[0].length);
      this.#line(line);
    }
    if (this.#rest.length > LONGEST) throw new RangeError('an event is too long');
  }

  #line(line) {
    if (line === '') return this.#done();
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    const fresh = this.#fresh;
    if (name === 'event') fresh.event = value;
    else if (name === 'id' && !value.includes('\0')) this.#id = value;
    else if (name === 'data') {
      fresh.size += value.length;
      if (fresh.size > LONGEST) throw new RangeError('an event is too long');
      fresh.data.push(value);
    }
  }

  #done() {
    const { event, data } = this.#fresh;
    this.#fresh = { event: '', data: [], size: 0 };
    if (data.length > 0) this.#take({ event: event || 'message', id: this.#id, data: data.join('\n') });
  }
}

/** Milliseconds to wait before try number `tries` (from 1): doubling up to half a minute, spread out. */
export function pause(tries, random = Math.random()) {
  const most = Math.min(30_000, 500 * 2 ** Math.min(tries, 10));
  return Math.round(most * (0.5 + random / 2));
}
