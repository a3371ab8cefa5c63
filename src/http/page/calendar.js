// A deadline as an iCalendar file (RFC 5545), for the citizen's own calendar.

const escaped = (text) => text.replace(/\\/g, '\\\\').replace(/\r\n?|\n/g, '\\n').replace(/[;,]/g, '\\$&');
const instant = (date) => date.toISOString().replace(/\.\d+Z$/, 'Z').replace(/[-:]/g, '');

/** Lines of at most 75 bytes; what goes on begins with a space (3.1). */
function folded(line) {
  const bytes = new TextEncoder();
  const pieces = [];
  let piece = '';
  let size = 0;
  for (const letter of line) {
    const more = bytes.encode(letter).length;
    if (size + more > 75) {
      pieces.push(piece);
      piece = ' ';
      size = 1;
    }
    piece += letter;
    size += more;
  }
  return [...pieces, piece].join('\r\n');
}

/** The file of one deadline, with a reminder a day before. */
export function calendarFile({ id, due, title, text, now = new Date() }) {
  const lines = [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//Araldo//citizen page//EN',
    'METHOD:PUBLISH',
    'BEGIN:VEVENT',
    `UID:${id}@araldo`,
    `DTSTAMP:${instant(now)}`,
    `DTSTART:${instant(due)}`,
    `SUMMARY:${escaped(title)}`,
    `DESCRIPTION:${escaped(text)}`,
    'TRANSP:TRANSPARENT',
    'BEGIN:VALARM',
    'ACTION:DISPLAY',
    `DESCRIPTION:${escaped(title)}`,
    'TRIGGER:-P1D',
    'END:VALARM',
    'END:VEVENT',
    'END:VCALENDAR',
  ];
  return `${lines.map(folded).join('\r\n')}\r\n`;
}
