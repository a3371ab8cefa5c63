//! A mail as it goes over the wire after DATA (RFC 5321, 4.5.2).
//!
//! Owns the line ends and the dots: every line ends in CR LF, a line that
//! begins with a dot gets another, and the end is one dot alone. A lone CR or
//! LF becomes a line end of its own, so that no relay can read an end of mail
//! where none was meant ("SMTP smuggling").

/// `mail` with its end.
pub(super) fn stuffed(mail: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(mail.len() + mail.len() / 64 + 8);
    let mut rest = mail;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let (line, next) = match end {
            None => (rest, &rest[rest.len()..]),
            Some(at) if rest[at..].starts_with(b"\r\n") => (&rest[..at], &rest[at + 2..]),
            Some(at) => (&rest[..at], &rest[at + 1..]),
        };
        if line.first() == Some(&b'.') {
            out.push(b'.');
        }
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
        rest = next;
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::stuffed;
    use proptest::prelude::*;

    /// The receiver's side of RFC 5321, 4.5.2.
    fn received(wire: &[u8]) -> Vec<u8> {
        let text = wire.strip_suffix(b".\r\n").unwrap();
        let mut out = Vec::new();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            out.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
        out
    }

    #[test]
    fn lines_end_in_cr_lf_and_no_line_is_a_dot_alone_but_the_last() {
        for (mail, wire) in [
            ("", ".\r\n"),
            ("a", "a\r\n.\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            ("a\r\n.\r\nb", "a\r\n..\r\nb\r\n.\r\n"),
            ("a\n.\nb\r.\r\r\n", "a\r\n..\r\nb\r\n..\r\n\r\n.\r\n"),
            ("a\r\n\r\nb\r\n", "a\r\n\r\nb\r\n.\r\n"),
        ] {
            assert_eq!(stuffed(mail.as_bytes()), wire.as_bytes(), "{mail:?}");
        }
    }

    proptest! {
        #[test]
        fn the_receiver_gets_what_was_sent(lines in prop::collection::vec("[.a\u{e9}]{0,4}", 0..8)) {
            let mail: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            prop_assert_eq!(received(&stuffed(mail.as_bytes())), mail.as_bytes());
        }

        #[test]
        fn the_end_is_nowhere_but_at_the_end(mail in "[\r\n.a]{0,40}") {
            let wire = stuffed(mail.as_bytes());
            let mut whole = b"\r\n".to_vec();
            whole.extend_from_slice(&wire);
            let end = b"\r\n.\r\n";
            let first = whole.windows(end.len()).position(|window| window == end);
            prop_assert_eq!(first, Some(whole.len() - end.len()));
            let bare = whole.windows(2).any(|pair| (pair[0] == b'\r') != (pair[1] == b'\n'));
            prop_assert!(!bare);
        }
    }
}
