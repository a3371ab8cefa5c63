//! The latest mails taken, as they came: for tests that read what a citizen would read.
//!
//! Owns a ring bounded by number and by bytes; the oldest go first. Nothing else depends on it.

use std::collections::VecDeque;
use std::sync::Mutex;

use bytes::Bytes;

use crate::simulator::books::lock;

/// Bytes of content kept at most, however few mails that is.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// A mail as it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Content of the `Message-ID` header, brackets included; empty when there was none.
    pub message_id: String,
    /// Address of MAIL FROM.
    pub from: String,
    /// Addresses of the recipients accepted, in lower case.
    pub recipients: Vec<String>,
    /// Unix microseconds of the acceptance.
    pub at_us: u64,
    /// The session was encrypted.
    pub tls: bool,
    /// Header and body, dots unstuffed, as in RFC 5322.
    pub raw: Bytes,
}

#[derive(Default)]
struct Ring {
    mails: VecDeque<Mail>,
    bytes: usize,
}

/// The latest mails.
pub(crate) struct Mails {
    most: usize,
    ring: Mutex<Ring>,
}

impl Mails {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, ring: Mutex::default() }
    }

    /// Whether mails are kept at all.
    pub(crate) const fn keeps(&self) -> bool {
        self.most > 0
    }

    pub(crate) fn add(&self, mail: Mail) {
        let mut ring = lock(&self.ring);
        ring.bytes += mail.raw.len();
        ring.mails.push_back(mail);
        while ring.mails.len() > self.most || ring.bytes > MAX_BYTES {
            let Some(oldest) = ring.mails.pop_front() else { break };
            ring.bytes -= oldest.raw.len();
        }
    }

    /// The mails that satisfy `wanted`, the latest last.
    pub(crate) fn find(&self, wanted: impl Fn(&Mail) -> bool) -> Vec<Mail> {
        lock(&self.ring).mails.iter().filter(|mail| wanted(mail)).cloned().collect()
    }

    pub(crate) fn clear(&self) {
        *lock(&self.ring) = Ring::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(number: usize, length: usize) -> Mail {
        Mail {
            message_id: format!("<{number}@araldo.example>"),
            from: "no-reply@araldo.example".to_owned(),
            recipients: vec![format!("{}@posta.example", number % 3)],
            at_us: 1,
            tls: false,
            raw: Bytes::from(vec![b'x'; length]),
        }
    }

    #[test]
    fn the_oldest_go_first_by_number_and_by_bytes() {
        let mails = Mails::new(10);
        (0..25).for_each(|number| mails.add(mail(number, 100)));
        let kept = mails.find(|_| true);
        assert_eq!((kept.len(), kept[0].message_id.as_str()), (10, "<15@araldo.example>"));
        assert_eq!(mails.find(|mail| mail.recipients[0] == "0@posta.example").len(), 4);
        (0..5).for_each(|number| mails.add(mail(number, MAX_BYTES / 4)));
        assert_eq!(mails.find(|_| true).len(), 4);
        mails.clear();
        assert!(mails.find(|_| true).is_empty());
    }
}
