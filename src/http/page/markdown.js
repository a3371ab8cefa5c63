// A small, safe part of Markdown (CommonMark's names): headings, paragraphs,
// lists, quotes, code, emphasis, links to http(s). What is not in it, raw HTML
// included, stays text. `parse` makes a plain tree, `render` makes nodes of it.
//
// Each piece of the text is looked at a bounded number of times: a message
// cannot keep the page busy.

import { add, h, icon, unseen } from './dom.js';

/** Lists, quotes and emphasis inside each other; deeper ones are text. */
const DEEPEST = 6;

const HEADING = /^ {0,3}(#{1,6})(?=[ \t]|$)/;
/** What apps are told before the text (IO's calls to action): a block of YAML. */
const FRONT = /^---\n(?=[\w-]+:[ \t]*\n)[^]*?\n---(?:\n|$)/;
const RULE = /^ {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const FENCE = /^ {0,3}(```+|~~~+)/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(?:[ \t]+|$)/;

/** The tree of `source`. */
export function parse(source) {
  const text = source.replace(/\r\n?/g, '\n').replace(FRONT, '');
  return blocks(text.split('\n'), 0);
}

function blocks(lines, depth) {
  const tree = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    if (line.trim() === '') { at += 1; continue; }
    const heading = HEADING.exec(line);
    if (heading) {
      tree.push({ kind: 'heading', level: heading[1].length, inside: inline(title(line, heading), 0) });
      at += 1;
    } else if (FENCE.test(line)) at = code(lines, at, tree);
    else if (RULE.test(line)) { tree.push({ kind: 'rule' }); at += 1; }
    else if (depth < DEEPEST && QUOTE.test(line)) at = quote(lines, at, tree, depth);
    else if (depth < DEEPEST && ITEM.test(line)) at = list(lines, at, tree, depth);
    else at = paragraph(lines, at, tree);
  }
  return tree;
}

/** A heading's text, without the marks that may close it. */
const title = (line, heading) => line.slice(heading[0].length).trim().replace(/(?:^|[ \t])#+$/, '').trimEnd();

function code(lines, start, tree) {
  const mark = FENCE.exec(lines[start])[1];
  let end = start + 1;
  while (end < lines.length && !lines[end].trim().startsWith(mark)) end += 1;
  tree.push({ kind: 'code', text: lines.slice(start + 1, end).join('\n') });
  return end + 1;
}

function quote(lines, start, tree, depth) {
  let end = start;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  const inside = lines.slice(start, end).map((line) => line.replace(QUOTE, ''));
  tree.push({ kind: 'quote', inside: blocks(inside, depth + 1) });
  return end;
}

function list(lines, start, tree, depth) {
  const first = ITEM.exec(lines[start]);
  const ordered = /\d/.test(first[2]);
  const items = [];
  let at = start;
  while (at < lines.length) {
    const item = ITEM.exec(lines[at]);
    if (!item || /\d/.test(item[2]) !== ordered || RULE.test(lines[at])) break;
    const width = item[0].length;
    const inside = [lines[at].slice(width)];
    at += 1;
    while (at < lines.length && belongs(lines, at, item[1].length + 2)) {
      inside.push(lines[at].replace(new RegExp(`^ {0,${Math.max(width, 2)}}`), ''));
      at += 1;
    }
    items.push(blocks(inside, depth + 1));
    while (at + 1 < lines.length && lines[at].trim() === '' && ITEM.test(lines[at + 1])) at += 1;
  }
  tree.push({ kind: 'list', ordered, first: ordered ? Number.parseInt(first[2], 10) : 1, items });
  return at;
}

/** Whether a line goes on with the list item above it. */
function belongs(lines, at, indent) {
  const line = lines[at];
  if (line.trim() === '') {
    const next = lines[at + 1] ?? '';
    return next.trim() !== '' && next.length - next.trimStart().length >= indent;
  }
  if (line.length - line.trimStart().length >= indent) return true;
  return lines[at - 1].trim() !== '' && !starts(line);
}

const starts = (line) => [HEADING, FENCE, RULE, QUOTE, ITEM].some((form) => form.test(line));

function paragraph(lines, start, tree) {
  let end = start + 1;
  while (end < lines.length && lines[end].trim() !== '' && !starts(lines[end])) end += 1;
  const text = lines.slice(start, end).map((line) => line.replace(/^[ \t]+/, '')).join('\n');
  tree.push({ kind: 'paragraph', inside: inline(text.trimEnd(), 0) });
  return end;
}

const ESCAPED = /^\\([!-/:-@[-`{-~])/;
const CODE = /^(`+)(?!`)([^]*?[^`])\1(?!`)/;
const LINK = /^!?\[([^\]\n]{0,500})\]\(\s*<?([^\s()<>]{1,2000})>?(?:\s+(?:"[^"\n]{0,300}"|'[^'\n]{0,300}'))?\s*\)/;
const ANGLE = /^<(https?:\/\/[^\s<>]{1,2000})>/i;
const BARE = /^https?:\/\/[^\s<>"`*\\]{1,2000}/i;

function inline(text, depth) {
  const tree = [];
  let plain = '';
  const flush = () => { if (plain) tree.push({ kind: 'text', text: plain }); plain = ''; };
  const push = (node) => { flush(); tree.push(node); };
  const closers = new Map();
  let at = 0;
  while (at < text.length) {
    const found = special(text, at, depth, closers);
    if (!found) { plain += text[at]; at += 1; continue; }
    if (found.node.kind === 'text') plain += found.node.text;
    else push(found.node);
    at += found.length;
  }
  flush();
  return tree;
}

/** What begins at `at`, if it is more than a character. */
function special(text, at, depth, closers) {
  const letter = text[at];
  if (letter === '\n' && text.slice(at - 2, at) === '  ') return { node: { kind: 'break' }, length: 1 };
  if (letter === '\\' && text[at + 1] === '\n') return { node: { kind: 'break' }, length: 2 };
  if (!'\\`[!<hH*_'.includes(letter)) return null;
  const rest = text.slice(at, at + 5_000);
  const first = (form) => form.exec(rest);
  let match;
  if (letter === '\\' && (match = first(ESCAPED))) return { node: { kind: 'text', text: match[1] }, length: 2 };
  if (letter === '`' && (match = first(CODE))) {
    return { node: { kind: 'span', text: match[2].trim() }, length: match[0].length };
  }
  if ((letter === '[' || letter === '!') && (match = first(LINK))) return { node: link(match, letter, depth), length: match[0].length };
  if (letter === '<' && (match = first(ANGLE))) return { node: to(match[1], [{ kind: 'text', text: match[1] }]), length: match[0].length };
  if (/h/i.test(letter) && !/\w/.test(text[at - 1] ?? '') && (match = first(BARE))) {
    const address = match[0].replace(/[.,;:!?)'\]]+$/, '');
    return { node: to(address, [{ kind: 'text', text: address }]), length: address.length };
  }
  return letter === '*' || letter === '_' ? emphasis(text, at, depth, closers) : null;
}

function link(match, letter, depth) {
  // Pictures would be fetched from elsewhere: their description stands for them.
  if (letter === '!') return { kind: 'text', text: match[1] };
  return to(match[2], depth < DEEPEST ? inline(match[1], DEEPEST) : [{ kind: 'text', text: match[1] }]);
}

/** A link, if its address is http(s); otherwise its text alone. */
function to(address, inside) {
  let url = null;
  try {
    url = new URL(address);
  } catch {
    // No absolute address: not a link.
  }
  const web = url && ['http:', 'https:'].includes(url.protocol) && !url.username && !url.password;
  return web ? { kind: 'link', address: url.href, inside } : { kind: 'plain', inside };
}

function emphasis(text, at, depth, closers) {
  const letter = text[at];
  let run = 1;
  while (text[at + run] === letter) run += 1;
  const asText = { node: { kind: 'text', text: letter.repeat(run) }, length: run };
  const width = Math.min(run, 3);
  const mark = letter.repeat(width);
  const start = at + width;
  const opens = run <= 3 && /\S/.test(text[start] ?? ' ') && !(letter === '_' && /\w/.test(text[at - 1] ?? ''));
  if (!opens || depth >= DEEPEST) return asText;
  const end = closing(text, start, mark, letter, closers);
  if (end < 0) return asText;
  const inside = inline(text.slice(start, end), depth + 1);
  let node = { kind: width === 1 ? 'emphasis' : 'strong', inside };
  if (width === 3) node = { kind: 'emphasis', inside: [node] };
  return { node, length: end + width - at };
}

/** Where `mark` closes; a mark without an end is looked for once. */
function closing(text, start, mark, letter, closers) {
  if (start >= (closers.get(mark) ?? Infinity)) return -1;
  for (let at = text.indexOf(mark, start + 1); at >= 0; at = text.indexOf(mark, at + 1)) {
    let end = at + mark.length;
    while (text[end] === letter) end += 1;
    const exact = end - at === mark.length && text[at - 1] !== letter;
    const word = letter === '_' && /\w/.test(text[end] ?? '');
    if (exact && !word && /\S/.test(text[at - 1]) && text[at - 1] !== '\\') return at;
    at = end - 1;
  }
  closers.set(mark, Math.min(start, closers.get(mark) ?? Infinity));
  return -1;
}

/** Nodes of a tree; its headings begin at `top`. `newWindow` says where links open. */
export function render(tree, { top = 2, newWindow }) {
  const make = {
    heading: (node) => h(`h${Math.min(6, node.level + top - 1)}`, null, all(node.inside)),
    paragraph: (node) => h('p', null, all(node.inside)),
    code: (node) => h('pre', { tabindex: '0' }, h('code', null, node.text)),
    rule: () => h('hr'),
    quote: (node) => h('blockquote', null, all(node.inside)),
    list: (node) => h(node.ordered ? 'ol' : 'ul', { start: node.first === 1 ? null : String(node.first) },
      node.items.map((item) => h('li', null, tight(item)))),
    text: (node) => node.text,
    plain: (node) => all(node.inside),
    break: () => h('br'),
    span: (node) => h('code', null, node.text),
    emphasis: (node) => h('em', null, all(node.inside)),
    strong: (node) => h('strong', null, all(node.inside)),
    link: (node) => h('a', { href: node.address, target: '_blank', rel: 'noopener noreferrer' },
      all(node.inside), icon('out'), unseen(` (${newWindow})`)),
  };
  const all = (nodes) => nodes.map((node) => make[node.kind](node));
  // An item that is one line of text needs no paragraph of its own.
  const tight = (item) => (item[0]?.kind === 'paragraph' ? [all(item[0].inside), all(item.slice(1))] : all(item));
  const fragment = document.createDocumentFragment();
  add(fragment, all(tree));
  return fragment;
}
