// The page's language: the browser's at first, then what was chosen. Words are
// in italian.js and english.js under the same names.

import { english } from './english.js';
import { italian } from './italian.js';

const WORDS = { it: italian, en: english };
const LOCALES = { it: 'it-IT', en: 'en-GB' };
const PLACE = 'araldo.language';
let current = 'it';

/** Takes the language chosen before, or the first of the browser's that the page speaks. */
export function start() {
  const asked = [sessionStorage.getItem(PLACE), ...(navigator.languages ?? [navigator.language])];
  const known = asked.map((name) => name?.slice(0, 2).toLowerCase()).find((name) => name in WORDS);
  use(known ?? 'en');
}

function use(name) {
  current = name;
  document.documentElement.lang = name;
}

/** Speaks `name` from now on. */
export function choose(name) {
  sessionStorage.setItem(PLACE, name);
  use(name);
}

export const language = () => current;
export const locale = () => LOCALES[current];

/** The words under `name`, with `{places}` filled. */
export function t(name, values = {}) {
  const words = WORDS[current][name] ?? name;
  return words.replace(/\{(\w+)\}/g, (place, key) => values[key] ?? place);
}
