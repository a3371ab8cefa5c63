//! Server-Sent Events as they come over the wire (WHATWG HTML, section 9.2.6), piece by piece.
//!
//! Owns the unfinished line and the unfinished event. An event counts when its empty line has come, not before: what was cut
//! off by a broken connection is nobody's, and its id is not remembered. Bounded by [`MAX_EVENT`].

use memchr::memchr;

/// Bytes of an event; a message of the contract takes up to 120 kB in JSON.
const MAX_EVENT: usize = 1024 * 1024;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// `event:`; empty when absent.
    pub(super) name: String,
    /// `data:`, lines joined.
    pub(super) data: String,
    /// `id:`, if it had one.
    pub(super) id: Option<String>,
}

/// An event larger than the limit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {MAX_EVENT} bytes")]
pub(super) struct TooLarge;

#[derive(Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    event: Event,
}

impl Parser {
    /// Takes what came and hands out each event that is complete.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Event),
    ) -> Result<(), TooLarge> {
        while let Some(end) = memchr(b'\n', bytes) {
            self.line.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            if self.line.last() == Some(&b'\r') {
                self.line.pop();
            }
            self.finish_line(&mut each);
            if self.event.data.len() > MAX_EVENT {
                return Err(TooLarge);
            }
        }
        self.line.extend_from_slice(bytes);
        if self.line.len() > MAX_EVENT { Err(TooLarge) } else { Ok(()) }
    }

    fn finish_line(&mut self, each: &mut impl FnMut(Event)) {
        // Idle sessions are many: a long message leaves no buffer behind.
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if event != Event::default() {
                each(event);
            }
            return;
        }
        let line = String::from_utf8_lossy(&line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "id" => self.event.id = Some(value.to_owned()),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // Comments (an empty field) are signs of life; others mean nothing.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_whole_wherever_the_pieces_are_cut() {
        let stream = b": alive\n\nevent: ready\nid: 7\ndata: {}\n\nevent:message\r\nid:8\r\ndata:{\"id\":1,\r\ndata: \"a\":2}\r\n\r\nevent: message\nid: 9\ndata: lost";
        for cut in 0..stream.len() {
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for piece in [&stream[..cut], &stream[cut..]] {
                parser.feed(piece, |event| events.push(event)).unwrap();
            }
            assert_eq!(events.len(), 2, "the third was cut off");
            assert_eq!((events[0].name.as_str(), events[0].id.as_deref()), ("ready", Some("7")));
            assert_eq!(events[1].data, "{\"id\":1,\n\"a\":2}");
        }
    }

    #[test]
    fn an_endless_event_is_cut() {
        let mut parser = Parser::default();
        let piece = [b'x'; 4_096];
        let fed = (0..1_000).map(|_| parser.feed(&piece, |_| ())).find(Result::is_err);
        assert_eq!(fed, Some(Err(TooLarge)));
    }
}
