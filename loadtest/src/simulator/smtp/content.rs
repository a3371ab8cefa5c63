//! The content of a mail, judged as a strict receiver would (RFC 5322; RFC 5321, sections 2.3.8 and 4.5.3.1.6).
//!
//! Pure: bytes in, identity or refusal out. Stricter than most relays, so that a client cannot pass by luck: bare CR or LF,
//! lines over 998 octets, eight bits without BODY=8BITMIME, eight bits in the header and a header without exactly one
//! From and Date or with a second Message-ID are refused.

use memchr::{memchr, memchr_iter};

use crate::simulator::mix::{hash_bytes, mix2};

/// Octets of a line without its CRLF (RFC 5321, section 4.5.3.1.6).
const MAX_LINE: usize = 998;

/// What a mail says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity<'a> {
    /// `Message-ID`, brackets included; empty when there is none.
    pub(super) message_id: &'a str,
    /// The UUID in it, or a hash of it; none when there is no Message-ID.
    pub(super) delivery: Option<u128>,
    /// `X-Araldo-Message-Id`, a ULID; 0 when absent or something else.
    pub(super) message: u128,
}

/// Why a mail is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentFault {
    BareLineEnd,
    LongLine,
    EightBit,
    EightBitHeader,
    Header,
}

/// Judges a whole content, dots still stuffed.
pub(super) fn judge(content: &[u8], eight_bit: bool) -> Result<Identity<'_>, ContentFault> {
    lines(content)?;
    if !eight_bit && !content.is_ascii() {
        return Err(ContentFault::EightBit);
    }
    header(content)
}

fn lines(content: &[u8]) -> Result<(), ContentFault> {
    let mut start = 0;
    for end in memchr_iter(b'\n', content) {
        let line = &content[start..end];
        let Some((b'\r', line)) = line.split_last() else {
            return Err(ContentFault::BareLineEnd);
        };
        if memchr(b'\r', line).is_some() {
            return Err(ContentFault::BareLineEnd);
        }
        if line.len() > MAX_LINE {
            return Err(ContentFault::LongLine);
        }
        start = end + 1;
    }
    if start == content.len() { Ok(()) } else { Err(ContentFault::BareLineEnd) }
}

fn header(content: &[u8]) -> Result<Identity<'_>, ContentFault> {
    let mut identity = Identity { message_id: "", delivery: None, message: 0 };
    let (mut from, mut date, mut ids) = (0, 0, 0);
    let mut rest = content;
    while let Some((line, after)) = next_field(rest) {
        rest = after;
        if line.is_empty() {
            break;
        }
        let line = std::str::from_utf8(line).map_err(|_| ContentFault::EightBitHeader)?;
        if !line.is_ascii() {
            return Err(ContentFault::EightBitHeader);
        }
        let (name, value) = line.split_once(':').ok_or(ContentFault::Header)?;
        let (name, value) = (name.trim_end(), value.trim());
        if name.eq_ignore_ascii_case("from") {
            from += 1;
        } else if name.eq_ignore_ascii_case("date") {
            date += 1;
        } else if name.eq_ignore_ascii_case("message-id") {
            ids += 1;
            identity.message_id = value;
            identity.delivery = Some(delivery(value));
        } else if name.eq_ignore_ascii_case("x-araldo-message-id") {
            identity.message = ulid::Ulid::from_string(value).map_or(0, u128::from);
        }
    }
    if from == 1 && date == 1 && ids <= 1 { Ok(identity) } else { Err(ContentFault::Header) }
}

/// The next header field with its continuation lines, without the last CRLF, and what follows.
fn next_field(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut end = memchr(b'\n', text)?;
    if end > 1 {
        while matches!(text.get(end + 1), Some(b' ' | b'\t')) {
            end = end + 1 + memchr(b'\n', &text[end + 1..])?;
        }
    }
    Some((&text[..end.saturating_sub(1)], &text[end + 1..]))
}

/// The number of a Message-ID: the UUID before the @, or a hash.
fn delivery(message_id: &str) -> u128 {
    let local = message_id.trim_matches(['<', '>']).split('@').next().unwrap_or_default();
    uuid::Uuid::try_parse(local).map_or_else(
        |_| {
            let low = hash_bytes(message_id.as_bytes());
            u128::from(mix2(low, message_id.len() as u64)) << 64 | u128::from(low)
        },
        |uuid| uuid.as_u128(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "From: a@araldo.example\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\
        message-id:\r\n <01936d2c-1c0e-7000-8000-000000000001@araldo.example>\r\n\
        X-Araldo-Message-Id: 01ARZ3NDEKTSV4RRFFQ69G5FAV\r\n\r\nFrom: body\r\n";

    #[test]
    fn a_mail_is_known_by_its_message_id_also_when_folded() {
        let identity = judge(MAIL.as_bytes(), false).unwrap();
        let uuid = uuid::Uuid::from_u128(identity.delivery.unwrap()).to_string();
        assert_eq!(uuid, "01936d2c-1c0e-7000-8000-000000000001");
        assert_eq!(ulid::Ulid::from(identity.message).to_string(), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
        assert!(identity.message_id.starts_with('<') && identity.message_id.ends_with('>'));
        let other = MAIL.replace("01936d2c-1c0e-7000-8000-000000000001", "1.2.3");
        assert!(judge(other.as_bytes(), false).unwrap().delivery.is_some());
    }

    #[test]
    fn what_a_strict_receiver_refuses_is_refused() {
        let long = format!("{MAIL}{}\r\n", "x".repeat(999));
        let second = format!("Message-ID: <2@araldo.example>\r\n{MAIL}");
        for (mail, fault) in [
            (MAIL.replace("body\r\n", "body\n"), ContentFault::BareLineEnd),
            (MAIL.replace("body", "bo\rdy"), ContentFault::BareLineEnd),
            (long, ContentFault::LongLine),
            (MAIL.replace("body", "perché"), ContentFault::EightBit),
            (MAIL.replace("Date", "Data"), ContentFault::Header),
            (second, ContentFault::Header),
        ] {
            assert_eq!(judge(mail.as_bytes(), false), Err(fault), "{mail}");
        }
        assert!(judge(MAIL.replace("body", "perché").as_bytes(), true).is_ok());
        let subject = MAIL.replace("Date:", "Subject: perché\r\nDate:");
        assert_eq!(judge(subject.as_bytes(), true), Err(ContentFault::EightBitHeader));
    }
}
