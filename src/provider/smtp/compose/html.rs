//! Markdown as safe HTML.
//!
//! Owns what of a sender's text may stand in a mail: no script, no style, no
//! form, no image (a remote one tells the sender who reads and when), links
//! to web, mail and telephone only. Of HTML of the sender's own only the text is left, and
//! the result is sanitised all the same, whatever it came from (OWASP, "Cross
//! Site Scripting Prevention"). Blocks in blocks have a limit: reading HTML
//! costs the square of its depth, and a text of nothing but `>` took seconds.

use std::collections::HashSet;
use std::sync::LazyLock;

use ammonia::{Builder, UrlRelative};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// What messages may use beyond CommonMark.
const OPTIONS: Options = Options::ENABLE_TABLES.union(Options::ENABLE_STRIKETHROUGH);

/// What may stand in a mail.
const TAGS: [&str; 26] = [
    "a",
    "b",
    "blockquote",
    "br",
    "code",
    "dd",
    "del",
    "dl",
    "dt",
    "em",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "li",
    "ol",
    "p",
    "pre",
    "strong",
    "sub",
    "sup",
    "ul",
    "table",
];
const TABLE_TAGS: [&str; 5] = ["thead", "tbody", "tr", "th", "td"];

static SANITISER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::empty();
    builder
        .tags(TAGS.into_iter().chain(TABLE_TAGS).collect())
        .clean_content_tags(HashSet::from(["script", "style", "title", "noscript"]))
        .add_tag_attributes("a", ["href"])
        .add_tag_attributes("ol", ["start"])
        .url_schemes(HashSet::from(["http", "https", "mailto", "tel"]))
        .url_relative(UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer"));
    builder
});

/// Blocks and marks within each other that are kept; text within deeper ones
/// stays, without them.
const DEEPEST: usize = 16;

/// The events of `markdown`, without images, whose description stands for
/// them, and without HTML, of which only the text is left.
pub(super) fn events(markdown: &str) -> Vec<Event<'_>> {
    let mut kept = Vec::new();
    let mut block = String::new();
    let mut depth = 0_usize;
    for event in Parser::new_ext(markdown, OPTIONS) {
        match event {
            Event::Html(line) => block.push_str(&line),
            Event::End(TagEnd::HtmlBlock) => {
                depth = depth.saturating_sub(1);
                put_block(&mut kept, &std::mem::take(&mut block));
            }
            Event::InlineHtml(tag) if tag.starts_with("<br") => kept.push(Event::HardBreak),
            Event::InlineHtml(_) => {}
            Event::Start(tag) => {
                depth += 1;
                if depth <= DEEPEST && !matches!(tag, Tag::Image { .. } | Tag::HtmlBlock) {
                    kept.push(Event::Start(tag));
                }
            }
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                if depth < DEEPEST && !matches!(tag, TagEnd::Image) {
                    kept.push(Event::End(tag));
                }
            }
            other => kept.push(other),
        }
    }
    kept
}

/// Adds the text of an HTML block as a paragraph.
fn put_block(kept: &mut Vec<Event<'_>>, html: &str) {
    let text = STRIPPER.clean(html).to_string();
    // What the serialiser escapes in text (WHATWG HTML, 13.3).
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", "\u{a0}");
    let text = text.replace("&amp;", "&");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if !text.is_empty() {
        kept.push(Event::Start(Tag::Paragraph));
        kept.push(Event::Text(text.into()));
        kept.push(Event::End(TagEnd::Paragraph));
    }
}

/// Takes off every tag, and what scripts and styles hold.
static STRIPPER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::empty();
    builder.clean_content_tags(HashSet::from(["script", "style", "title", "noscript"]));
    builder
});

/// HTML of `events`. Headings begin at the second level: the first is the
/// subject's.
pub(super) fn html<'a>(events: impl Iterator<Item = Event<'a>>, length: usize) -> String {
    let lowered = events.map(|event| match event {
        Event::Start(Tag::Heading { level, .. }) => {
            Event::Html(format!("<h{}>", lower(level)).into())
        }
        Event::End(TagEnd::Heading(level)) => Event::Html(format!("</h{}>\n", lower(level)).into()),
        other => other,
    });
    let mut raw = String::with_capacity(length + length / 2);
    pulldown_cmark::html::push_html(&mut raw, lowered);
    SANITISER.clean(&raw).to_string()
}

fn lower(level: pulldown_cmark::HeadingLevel) -> usize {
    (level as usize + 1).min(6)
}

#[cfg(test)]
mod tests {
    use super::{events, html};
    use proptest::prelude::*;

    fn of(markdown: &str) -> String {
        html(events(markdown).into_iter(), markdown.len())
    }

    #[test]
    fn markdown_becomes_html() {
        let html = of(
            "# Titolo\n\nUn **testo** con [un link](https://example.it/a?b=c&d).\n\n1. uno\n2. due\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
        );
        for part in [
            "<h2>Titolo</h2>",
            "<strong>testo</strong>",
            "<a href=\"https://example.it/a?b=c&amp;d\" rel=\"noopener noreferrer\">un link</a>",
            "<ol>\n<li>uno</li>",
            "<td>2</td>",
        ] {
            assert!(html.contains(part), "{part} not in {html}");
        }
    }

    #[test]
    fn nothing_that_acts_or_calls_home_is_left() {
        for (markdown, kept) in [
            ("a<script>alert(1)</script>b", "aalert(1)b"),
            ("![mappa](https://tracker.example/x.png)", "mappa"),
            ("<img src=x onerror=alert(1)>testo", "testo"),
            ("<p style=\"position:fixed\" onclick=\"x()\">testo</p>", "testo"),
            ("[x](javascript:alert(1))", ">x</a>"),
            ("[x](data:text/html;base64,AAAA)", ">x</a>"),
            ("[x](/relative)", ">x</a>"),
            ("<iframe src=\"https://x.example\"></iframe>testo", "testo"),
            ("<form action=\"https://x.example\"><input name=pin></form>testo", "testo"),
            ("<style>@import 'https://x.example'</style>testo", "testo"),
            ("<svg onload=alert(1)>testo", "testo"),
        ] {
            let html = of(markdown);
            assert!(html.contains(kept), "{markdown}: {html}");
            for bad in [
                "script",
                "onerror",
                "onclick",
                "onload",
                "src=",
                "style",
                "data:",
                "iframe",
                "form",
                "svg",
                "/relative",
            ] {
                assert!(!html.contains(bad), "{markdown}: {html}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_sanitised_stays_as_it_is(markdown in "(?s).{0,200}|[<>a-z\"'=/! \n#*\\[\\]()]{0,200}") {
            let html = of(&markdown);
            prop_assert_eq!(super::SANITISER.clean(&html).to_string(), html);
        }
    }
}
