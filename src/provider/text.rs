//! Fitting a title and a text into a provider's payload limit.
//!
//! Owns the arithmetic of JSON string escapes as `serde_json` writes them. A
//! text is cut only between characters, and a cut is shown by an ellipsis.

use std::borrow::Cow;

const ELLIPSIS: char = '…';
const ELLIPSIS_LEN: usize = ELLIPSIS.len_utf8();

/// Bytes a character takes inside a JSON string (RFC 8259, 7).
const fn escaped_len(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\u{0}'..='\u{1f}' => 6,
        _ => character.len_utf8(),
    }
}

/// Bytes `text` takes inside a JSON string, without its quotes.
fn json_len(text: &str) -> usize {
    text.chars().map(escaped_len).sum()
}

/// `text`, or as many of its characters and an ellipsis as fit in `room`
/// bytes of JSON; empty when not even the ellipsis fits.
fn fit(text: &str, room: usize) -> Cow<'_, str> {
    // No escape is longer than 6 bytes for one: most texts need no count.
    if text.len().saturating_mul(6) <= room || json_len(text) <= room {
        return Cow::Borrowed(text);
    }
    let Some(room) = room.checked_sub(ELLIPSIS_LEN) else {
        return Cow::Borrowed("");
    };
    let mut used = 0;
    let mut end = 0;
    for (at, character) in text.char_indices() {
        used += escaped_len(character);
        if used > room {
            break;
        }
        end = at + character.len_utf8();
    }
    let mut cut = String::with_capacity(end + ELLIPSIS_LEN);
    cut.push_str(text[..end].trim_end());
    cut.push(ELLIPSIS);
    Cow::Owned(cut)
}

/// Title and text that together fit in `room` bytes of JSON. The text is cut
/// first; the title only where it would take more than half of the room.
pub(super) fn fit_both<'a>(
    title: &'a str,
    body: &'a str,
    room: usize,
) -> (Cow<'a, str>, Cow<'a, str>) {
    if title.len().saturating_add(body.len()).saturating_mul(6) <= room {
        return (Cow::Borrowed(title), Cow::Borrowed(body));
    }
    let title = fit(title, (room / 2).max(room.saturating_sub(json_len(body))));
    let body = fit(body, room.saturating_sub(json_len(&title)));
    (title, body)
}

/// Appends `text` as a JSON string, with its quotes.
pub(super) fn put_json(text: &str, out: &mut Vec<u8>) {
    // Writing to memory cannot fail and every `str` is a JSON string.
    let written = serde_json::to_writer(out, text);
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cut_never_splits_a_character_and_shows() {
        assert_eq!(fit("abcdef", 6), "abcdef");
        assert_eq!(fit("abcdefg", 6), "abc…");
        assert_eq!(fit("àèìòù", 9), "àèì…");
        assert_eq!(fit("àèìòù", 8), "àè…");
        assert_eq!(fit("\u{1}\u{1}", 11), "\u{1}…");
        assert_eq!(fit("too long", 2), "");
    }

    #[test]
    fn a_long_text_never_costs_a_short_title() {
        let body = "x".repeat(10_000);
        let (title, body) = fit_both("Allerta", &body, 1_000);
        assert_eq!(title, "Allerta");
        assert_eq!(body.len(), 1_000 - "Allerta".len());
    }

    proptest! {
        #[test]
        fn the_count_is_what_serde_json_writes(text in "\\PC*|[\\x00-\\x7f]*") {
            let mut written = Vec::new();
            put_json(&text, &mut written);
            prop_assert_eq!(written.len() - 2, json_len(&text));
        }

        #[test]
        fn both_always_fit(title in ".{0,300}", body in "(?s).{0,2000}", room in 0_usize..3_000) {
            let (title, body) = fit_both(&title, &body, room);
            prop_assert!(json_len(&title) + json_len(&body) <= room);
        }
    }
}
