// Dates, sums and names as people write them in the page's language.

import { locale, t } from './language.js';

const formats = new Map();
function formatter(kind, options) {
  const key = `${locale()} ${JSON.stringify(options)}`;
  if (!formats.has(key)) formats.set(key, new kind(locale(), options));
  return formats.get(key);
}
const date = (options, value) => formatter(Intl.DateTimeFormat, options).format(value);

/** 12 marzo 2027, 14:30 */
export const longTime = (value) => date({ dateStyle: 'long', timeStyle: 'short' }, value);
/** 12 marzo 2027 */
export const longDate = (value) => date({ dateStyle: 'long' }, value);

/** The hour today, the day this year, the whole date before. */
export function shortTime(value, now = new Date()) {
  if (value.toDateString() === now.toDateString()) return date({ hour: '2-digit', minute: '2-digit' }, value);
  const year = value.getFullYear() === now.getFullYear() ? undefined : 'numeric';
  return date({ day: 'numeric', month: 'short', year }, value);
}

/** How far a deadline is, by calendar days. */
export function daysLeft(due, now = new Date()) {
  const midnight = (value) => Date.UTC(value.getFullYear(), value.getMonth(), value.getDate());
  const days = Math.round((midnight(due) - midnight(now)) / 86_400_000);
  if (due < now) return { text: t('due.over'), late: true };
  return { text: formatter(Intl.RelativeTimeFormat, { numeric: 'auto' }).format(days, 'day'), late: false };
}

/** An amount of euro cents. */
export const money = (cents) => formatter(Intl.NumberFormat, { style: 'currency', currency: 'EUR' }).format(cents / 100);

/** A notice number in groups that can be read aloud. */
export const grouped = (number) => number.replace(/(\d{4})(?=\d)/g, '$1 ');

/** Up to two initials of a name. */
export function initials(name) {
  const words = name.split(/[\s'’-]+/u).filter((word) => /^\p{Lu}/u.test(word));
  return words.slice(0, 2).map((word) => [...word][0]).join('') || [...name][0]?.toUpperCase() || '?';
}

/** A colour, 0 to 5, that stays with a name (FNV-1a). */
export function colour(name) {
  let hash = 0x811c9dc5;
  for (const letter of name) hash = Math.imul(hash ^ letter.codePointAt(0), 0x01000193);
  return (hash >>> 8) % 6;
}
