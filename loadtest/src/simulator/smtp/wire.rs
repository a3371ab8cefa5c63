//! Bytes of one session: lines in, replies out, content up to the dot.
//!
//! Owns two buffers. Replies wait in theirs until nothing complete is left to read, so that pipelined commands (RFC 2920)
//! are answered in one segment. Bounded: a command line by [`MAX_COMMAND`], content by the size the server offers; what
//! exceeds it is read and thrown away up to the dot.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use memchr::memchr;
use memchr::memmem::Finder;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest command line, CRLF included: room for AUTH (RFC 4954, section 4).
const MAX_COMMAND: usize = 12_288;
/// A client that says nothing for this long is left (RFC 5321, section 4.5.3.2.7).
const IDLE: Duration = Duration::from_secs(300);
const READ: usize = 32 * 1024;
const DOT: &[u8] = b"\r\n.\r\n";

/// A command line, or that it was too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Command(BytesMut),
    TooLong,
}

/// Content up to the dot, or that it was too large.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// The content with its last CRLF, dots still stuffed.
    Whole(BytesMut),
    TooLarge,
}

pub(super) struct Wire<S> {
    pub(super) stream: S,
    input: BytesMut,
    output: BytesMut,
    /// How much of the input is known to hold no end.
    scanned: usize,
    overflow: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            input: BytesMut::with_capacity(READ),
            output: BytesMut::with_capacity(512),
            scanned: 0,
            overflow: false,
        }
    }

    /// Adds to the replies that go out next.
    pub(super) fn say(&mut self, reply: &[u8]) {
        self.output.extend_from_slice(reply);
    }

    /// Whether the client has sent more than what was taken.
    pub(super) fn has_more(&self) -> bool {
        !self.input.is_empty()
    }

    /// Sends the replies.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await?;
            self.output.clear();
        }
        Ok(())
    }

    /// Sends the replies and reads more; false at the end of the stream.
    pub(super) async fn fill(&mut self) -> io::Result<bool> {
        self.flush().await?;
        self.input.reserve(READ);
        match tokio::time::timeout(IDLE, self.stream.read_buf(&mut self.input)).await {
            Ok(read) => Ok(read? > 0),
            Err(_) => Ok(false),
        }
    }

    /// The next command line without its line end, if a whole one is there.
    pub(super) fn line(&mut self) -> Option<Line> {
        match memchr(b'\n', &self.input[self.scanned..]) {
            Some(at) => {
                let mut line = self.input.split_to(self.scanned + at + 1);
                self.scanned = 0;
                line.truncate(line.len() - 1);
                if line.last() == Some(&b'\r') {
                    line.truncate(line.len() - 1);
                }
                let too_long = std::mem::take(&mut self.overflow) || line.len() > MAX_COMMAND;
                Some(if too_long { Line::TooLong } else { Line::Command(line) })
            }
            None if self.input.len() > MAX_COMMAND => {
                self.overflow = true;
                self.input.clear();
                self.scanned = 0;
                None
            }
            None => {
                self.scanned = self.input.len();
                None
            }
        }
    }

    /// The content up to the dot, if it is there; the dot is taken off with it.
    pub(super) fn content(&mut self, dot: &Finder<'_>, most: usize) -> Option<Content> {
        if !self.overflow && self.scanned == 0 && self.input.starts_with(b".\r\n") {
            self.input.advance(3);
            return Some(Content::Whole(BytesMut::new()));
        }
        if let Some(at) = dot.find(&self.input[self.scanned..]) {
            let content = self.input.split_to(self.scanned + at + 2);
            self.input.advance(DOT.len() - 2);
            self.scanned = 0;
            let too_large = std::mem::take(&mut self.overflow) || content.len() > most;
            return Some(if too_large { Content::TooLarge } else { Content::Whole(content) });
        }
        let tail = self.input.len().min(DOT.len() - 1);
        if self.input.len() > most {
            self.overflow = true;
            self.input.advance(self.input.len() - tail);
        }
        self.scanned = self.input.len() - tail;
        None
    }
}

/// Finds the end of a content.
pub(super) fn dot() -> Finder<'static> {
    Finder::new(DOT)
}

/// Takes off the dots that were put in front of lines that begin with one (RFC 5321, section 4.5.2).
pub(super) fn unstuff(content: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(content.len());
    let mut line_start = true;
    for byte in content {
        if !(line_start && *byte == b'.') {
            plain.push(*byte);
        }
        line_start = *byte == b'\n';
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire() -> Wire<tokio::io::DuplexStream> {
        Wire::new(tokio::io::duplex(64).0)
    }

    #[test]
    fn lines_come_whole_and_long_ones_are_told() {
        let mut wire = wire();
        wire.input.extend_from_slice(b"NOOP\r\nQU");
        assert_eq!(wire.line(), Some(Line::Command(BytesMut::from("NOOP"))));
        assert_eq!(wire.line(), None);
        wire.input.extend_from_slice(b"IT\n");
        assert_eq!(wire.line(), Some(Line::Command(BytesMut::from("QUIT"))));
        wire.input.extend_from_slice(&[b'x'; MAX_COMMAND + 1]);
        assert_eq!(wire.line(), None);
        wire.input.extend_from_slice(b"x\r\nRSET\r\n");
        assert_eq!(wire.line(), Some(Line::TooLong));
        assert_eq!(wire.line(), Some(Line::Command(BytesMut::from("RSET"))));
    }

    #[test]
    fn content_ends_at_the_dot_wherever_the_segments_are_cut() {
        let sent = b"a\r\n..b\r\n.c\r\n.\r\nMAIL";
        for cut in 1..sent.len() {
            let (mut wire, dot) = (wire(), dot());
            wire.input.extend_from_slice(&sent[..cut]);
            let early = wire.content(&dot, 100);
            wire.input.extend_from_slice(&sent[cut..]);
            let content = early.or_else(|| wire.content(&dot, 100));
            assert_eq!(
                content,
                Some(Content::Whole(BytesMut::from("a\r\n..b\r\n.c\r\n"))),
                "{cut}"
            );
            assert_eq!(&wire.input[..], b"MAIL");
        }
        let (mut wire, dot) = (wire(), dot());
        wire.input.extend_from_slice(b".\r\n");
        assert_eq!(wire.content(&dot, 100), Some(Content::Whole(BytesMut::new())));
    }

    #[test]
    fn content_beyond_the_limit_is_thrown_away_up_to_the_dot() {
        let (mut wire, dot) = (wire(), dot());
        for _ in 0..10 {
            wire.input.extend_from_slice(&[b'x'; 50]);
            assert_eq!(wire.content(&dot, 100), None);
            assert!(wire.input.len() <= 150);
        }
        wire.input.extend_from_slice(b"\r\n.\r\nQUIT\r\n");
        assert_eq!(wire.content(&dot, 100), Some(Content::TooLarge));
        assert_eq!(wire.line(), Some(Line::Command(BytesMut::from("QUIT"))));
    }

    #[test]
    fn stuffed_dots_are_taken_off() {
        assert_eq!(unstuff(b"..a\r\nb.\r\n...\r\n"), b".a\r\nb.\r\n..\r\n");
    }
}
