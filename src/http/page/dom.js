// Building the document. Text always enters as text nodes: nothing here, and
// nothing that uses it, turns a string into markup.

const SVG = 'http://www.w3.org/2000/svg';

/** An element: `on…` properties are listeners, `true` an empty attribute, null and false none. */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'value' || name === 'checked') element[name] = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  add(element, children);
  return element;
}

/** Puts children, lists of children and strings at the end of `element`. */
export function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

/** Replaces everything in `element`. */
export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

/** Text for screen readers alone. */
export const unseen = (text) => h('span', { class: 'unseen' }, text);

// Strokes on a grid of 24, drawn for this page.
const PATHS = {
  inbox: 'M4 13v5a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-5M4 13 6.6 5.4A2 2 0 0 1 8.5 4h7a2 2 0 0 1 1.9 1.4L20 13M4 13h4.5l1.5 2.5h4L15.5 13H20',
  sliders: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5v5M9 14.5v5',
  person: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM4.5 20.5a7.5 7.5 0 0 1 15 0',
  phone: 'M8 3h8a1.5 1.5 0 0 1 1.5 1.5v15A1.5 1.5 0 0 1 16 21H8a1.5 1.5 0 0 1-1.5-1.5v-15A1.5 1.5 0 0 1 8 3ZM11 18h2',
  folder: 'M12 3 4.5 6v5.5c0 4.5 3 8 7.5 9.5 4.5-1.5 7.5-5 7.5-9.5V6L12 3ZM9 11.8l2.2 2.2L15.2 10',
  archive: 'M3.5 4.5h17v4h-17zM5 8.5V18a1.5 1.5 0 0 0 1.5 1.5h11A1.5 1.5 0 0 0 19 18V8.5M10 12.5h4',
  restore: 'M4.5 5v5h5M5 10a7.5 7.5 0 1 1-.8 5',
  back: 'M14.5 5.5 8 12l6.5 6.5',
  search: 'M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13ZM15.3 15.3 20.5 20.5',
  calendar: 'M5 5.5h14A1.5 1.5 0 0 1 20.5 7v12a1.5 1.5 0 0 1-1.5 1.5H5A1.5 1.5 0 0 1 3.5 19V7A1.5 1.5 0 0 1 5 5.5ZM3.5 10h17M8 3v4M16 3v4',
  euro: 'M18 6.5A7 7 0 1 0 18 17.5M3.5 10.5h9M3.5 13.5h9',
  copy: 'M9 9h10.5v11.5H9zM15 9V4H4v11.5h5',
  check: 'M5 12.5 10 17.5 19.5 7',
  mail: 'M4.5 5.5h15A1.5 1.5 0 0 1 21 7v10a1.5 1.5 0 0 1-1.5 1.5h-15A1.5 1.5 0 0 1 3 17V7a1.5 1.5 0 0 1 1.5-1.5ZM3.5 7l8.5 6 8.5-6',
  bell: 'M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 1.5h-15L6 16.5ZM10 20.5h4',
  download: 'M12 4v11M7.5 11 12 15.5 16.5 11M4.5 19.5h15',
  trash: 'M4.5 6.5h15M9.5 6.5V4h5v2.5M6.5 6.5 7.5 20h9l1-13.5M10 10.5v6M14 10.5v6',
  alert: 'M12 4 2.8 19.5h18.4L12 4ZM12 10v4.5M12 17v.1',
  info: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 11v5.5M12 7.6v.1',
  leave: 'M10 4.5H5.5A1.5 1.5 0 0 0 4 6v12a1.5 1.5 0 0 0 1.5 1.5H10M15 8l4 4-4 4M19 12H9.5',
  out: 'M13.5 4.5h6v6M19.5 4.5 11 13M17 14v4.5a1 1 0 0 1-1 1H5.5a1 1 0 0 1-1-1V8a1 1 0 0 1 1-1H10',
  herald: 'M4 14.5v-5L17 4v16L4 14.5Zm3 1.3.9 4.2h3l-1-3.2M20 9.5a4 4 0 0 1 0 5',
};

/** A picture beside words, hidden from screen readers. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', PATHS[name]);
  svg.append(path);
  return svg;
}

/** A button with its action; while the action runs it cannot be pressed again. */
export function button(label, action, { kind = 'secondary', picture, ...more } = {}) {
  const element = h('button', { type: 'button', class: `button ${kind}`, ...more }, picture && icon(picture), h('span', null, label));
  element.addEventListener('click', () => busy(element, action));
  return element;
}

/** Runs `action` while `element` says that it is busy. */
export async function busy(element, action) {
  if (element.getAttribute('aria-busy') === 'true') return;
  element.setAttribute('aria-busy', 'true');
  try {
    await action();
  } finally {
    element.removeAttribute('aria-busy');
  }
}

/** Hands `text` to the browser as a file to keep. */
export function keep(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = h('a', { href: address, download: name, class: 'unseen' });
  document.body.append(link);
  link.click();
  link.remove();
  // The browser reads the file after the click.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
