//! Markdown as plain text that reads well.
//!
//! Owns the text alternative: paragraphs apart, lists with their marks, links
//! with their address, tables as lines. No mark of Markdown is left, and no
//! HTML.

use pulldown_cmark::{Event, Tag, TagEnd};

/// Indents shown of blocks in blocks: no text needs more, and a hostile one
/// must not multiply its length by them.
const DEEPEST: usize = 8;

/// Plain text of `events`, its lines ended by LF.
pub(super) fn text<'a>(events: impl Iterator<Item = Event<'a>>, length: usize) -> String {
    let mut writer =
        Writer { out: String::with_capacity(length + length / 8), ..Writer::default() };
    for event in events {
        writer.take(event);
    }
    let end = writer.out.trim_end().len();
    writer.out.truncate(end);
    writer.out
}

#[derive(Default)]
struct Writer {
    out: String,
    /// Of the blocks we are in: what each line begins with.
    indents: Vec<&'static str>,
    /// Of the lists we are in: the next number, or none for a mark.
    lists: Vec<Option<u64>>,
    /// Of the links we are in: address, and where their text begins.
    links: Vec<(String, usize)>,
    /// Blank line before the next text; not before the first.
    apart: bool,
    /// Line end before the next text.
    broken: bool,
    code: bool,
    cells: usize,
}

impl Writer {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Code(text) => self.put(&text),
            Event::SoftBreak if self.code => self.put("\n"),
            Event::SoftBreak => self.put(" "),
            Event::HardBreak => self.broken = true,
            Event::Rule => {
                self.apart = true;
                self.put("----");
                self.apart = true;
            }
            // Everything else was left out before (see `html::events`).
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::Heading { .. } | Tag::Table(_) => {
                // The first paragraph of an item stands beside its mark.
                self.apart |= !self.at_mark();
            }
            Tag::BlockQuote(_) => {
                self.apart = true;
                self.indents.push("> ");
            }
            Tag::CodeBlock(_) => {
                self.apart = true;
                self.code = true;
                self.indents.push("    ");
            }
            Tag::List(first) => {
                if self.lists.is_empty() {
                    self.apart = true;
                } else {
                    self.broken = true;
                }
                self.lists.push(first);
            }
            Tag::Item => self.item(),
            Tag::TableRow | Tag::TableHead => {
                self.broken = true;
                self.cells = 0;
            }
            Tag::TableCell => {
                if self.cells > 0 {
                    self.put(" | ");
                }
                self.cells += 1;
            }
            Tag::Link { dest_url, .. } => {
                // Written now, so that the text's place is known.
                self.put("");
                self.links.push((dest_url.into_string(), self.out.len()));
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::Table => self.apart = true,
            TagEnd::BlockQuote(_) => {
                self.indents.pop();
                self.apart = true;
            }
            TagEnd::CodeBlock => {
                self.indents.pop();
                self.code = false;
                self.apart = true;
            }
            TagEnd::List(_) => {
                self.lists.pop();
                self.apart = self.lists.is_empty();
            }
            TagEnd::Item => {
                self.indents.pop();
                self.apart = false;
                self.broken = true;
            }
            TagEnd::TableRow | TagEnd::TableHead => self.broken = true,
            TagEnd::Link => self.link(),
            _ => {}
        }
    }

    fn item(&mut self) {
        self.broken = true;
        let mark = match self.lists.last_mut() {
            Some(Some(number)) => {
                let mark = format!("{number}. ");
                *number = number.saturating_add(1);
                mark
            }
            _ => "- ".to_owned(),
        };
        self.put(&mark);
        self.indents.push("   ");
    }

    /// A link's address, unless its text says it already.
    fn link(&mut self) {
        let Some((address, start)) = self.links.pop() else { return };
        let shown = self.out.get(start..).unwrap_or_default();
        let plain = address.strip_prefix("mailto:").unwrap_or(&address);
        let known = ["http://", "https://", "mailto:", "tel:"];
        if shown != plain
            && shown != address
            && known.iter().any(|start| address.starts_with(start))
        {
            let address = format!(" ({plain})");
            self.put(&address);
        }
    }

    /// Whether the line holds only the mark of an item.
    fn at_mark(&self) -> bool {
        let line = self.out.rsplit('\n').next().unwrap_or_default().trim_start();
        let is_mark = line == "- "
            || line
                .strip_suffix(". ")
                .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        is_mark && !self.lists.is_empty()
    }

    /// Appends `text`, with the line ends and indents that are due.
    fn put(&mut self, text: &str) {
        let breaks = match (self.out.is_empty(), self.apart, self.broken) {
            (true, _, _) => 0,
            (_, true, _) => 2,
            (_, _, true) => 1,
            _ => 0,
        };
        if breaks > 0 || self.out.is_empty() {
            let end = self.out.trim_end_matches([' ', '\n']).len();
            if breaks > 0 {
                self.out.truncate(end);
            }
            self.out.extend(std::iter::repeat_n('\n', breaks));
            self.indent();
        }
        self.apart = false;
        self.broken = false;
        let mut lines = text.split('\n');
        self.out.push_str(lines.next().unwrap_or_default());
        for line in lines {
            self.out.push('\n');
            self.indent();
            self.out.push_str(line);
        }
    }

    fn indent(&mut self) {
        for indent in self.indents.iter().take(DEEPEST) {
            self.out.push_str(indent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::html::events;
    use super::text;
    use proptest::prelude::*;

    fn of(markdown: &str) -> String {
        text(events(markdown).into_iter(), markdown.len())
    }

    #[test]
    fn no_mark_of_markdown_is_left() {
        let markdown = "# Tassa sui rifiuti\n\nGentile **cittadina**,\nil *bollettino* è \
            [disponibile](https://example.it/x). Scrivi a <info@example.it> o vedi \
            <https://example.it>.\n\n- primo\n- secondo\n   - annidato\n- terzo\n\nFine.";
        assert_eq!(
            of(markdown),
            "Tassa sui rifiuti\n\nGentile cittadina, il bollettino è disponibile \
             (https://example.it/x). Scrivi a info@example.it o vedi https://example.it.\n\n\
             - primo\n- secondo\n   - annidato\n- terzo\n\nFine."
        );
    }

    #[test]
    fn lists_quotes_code_tables_and_rules_read_as_such() {
        for (markdown, expected) in [
            ("3. tre\n4. quattro", "3. tre\n4. quattro"),
            ("- uno\n\n- due\n\n  ancora", "- uno\n- due\n\n   ancora"),
            ("> detto\n> ieri\n\ndopo", "> detto ieri\n\ndopo"),
            ("```\na\n  b\n```\ndopo", "    a\n      b\n\ndopo"),
            ("|a|b|\n|-|-|\n|1|2|\n\ndopo", "a | b\n1 | 2\n\ndopo"),
            ("a\n\n---\n\nb", "a\n\n----\n\nb"),
            ("a  \nb", "a\nb"),
            ("via <b>Roma</b> 1", "via Roma 1"),
            ("<div>in una\nscatola &amp; via</div>\n\ntesto", "in una scatola & via\n\ntesto"),
            ("<script>\nx()\n</script>\n\ntesto", "testo"),
            ("a<br>b", "a\nb"),
            ("![mappa](https://x.example/m.png)", "mappa"),
            ("[x](javascript:alert(1))", "x"),
            ("", ""),
        ] {
            assert_eq!(of(markdown), expected, "{markdown:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_written(markdown in "(?s).{0,200}|[-*>#1. \n`|a\\[\\]()]{0,200}") {
            of(&markdown);
        }
    }
}
