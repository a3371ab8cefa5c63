//! What a relay says: one reply, of one or more lines (RFC 5321, 4.2).
//!
//! Owns the reading of bytes into a [`Reply`]. Line and reply have limits, so
//! that no peer can fill the memory; anything that is not a reply is told
//! apart from a connection that ended. The text is kept only for the few
//! replies whose text means something (EHLO) and never printed: relays
//! repeat addresses in it.

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest line read, bytes. RFC 5321, 4.5.3.1.5 has 512; real ones are longer.
const LONGEST_LINE: usize = 2 * 1024;
/// Longest reply read, bytes.
const LONGEST_REPLY: usize = 16 * 1024;

/// An enhanced status code (RFC 3463): class, subject, detail.
pub type Enhanced = (u8, u16, u16);

/// The code of a reply and, if it had one, the enhanced code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// 200 to 599.
    pub code: u16,
    /// From the first line that has one.
    pub enhanced: Option<Enhanced>,
}

impl Status {
    /// Done (2xx).
    #[must_use]
    pub const fn is_done(self) -> bool {
        self.code / 100 == 2
    }

    /// Go on (3xx).
    #[must_use]
    pub const fn is_go_on(self) -> bool {
        self.code / 100 == 3
    }

    /// Refused for now (4xx).
    #[must_use]
    pub const fn is_transient(self) -> bool {
        self.code / 100 == 4
    }

    /// Whether the enhanced code is `x.subject.detail`, of whatever class.
    #[must_use]
    pub const fn is(self, subject: u16, detail: u16) -> bool {
        matches!(self.enhanced, Some((_, s, d)) if s == subject && d == detail)
    }
}

/// One reply.
pub(super) struct Reply {
    pub(super) status: Status,
    /// Its lines without code, in the order they came.
    pub(super) lines: Vec<String>,
}

/// Why there is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadError {
    /// The connection ended.
    Closed,
    /// Too long, or not SMTP: the session cannot go on.
    NotSmtp,
}

/// Reads one reply from `io`; `buffer` keeps what came after it.
pub(super) async fn read<S>(io: &mut S, buffer: &mut BytesMut) -> Result<Reply, ReadError>
where
    S: AsyncRead + Unpin,
{
    let mut code = None;
    let mut lines = Vec::new();
    let mut length = 0;
    loop {
        let line = read_line(io, buffer).await?;
        length += line.len();
        let (this, last, text) = split(&line).ok_or(ReadError::NotSmtp)?;
        if *code.get_or_insert(this) != this || length > LONGEST_REPLY {
            return Err(ReadError::NotSmtp);
        }
        // Every line counts towards the limit, the empty ones as well.
        length += 4;
        lines.push(text);
        if last {
            let enhanced = lines.iter().find_map(|line| enhanced(line, this));
            return Ok(Reply { status: Status { code: this, enhanced }, lines });
        }
    }
}

async fn read_line<S>(io: &mut S, buffer: &mut BytesMut) -> Result<BytesMut, ReadError>
where
    S: AsyncRead + Unpin,
{
    let mut searched = 0;
    loop {
        if let Some(at) = buffer[searched..].iter().position(|byte| *byte == b'\n') {
            let mut line = buffer.split_to(searched + at);
            buffer.advance(1);
            if line.last() == Some(&b'\r') {
                line.truncate(line.len() - 1);
            }
            return if line.len() > LONGEST_LINE { Err(ReadError::NotSmtp) } else { Ok(line) };
        }
        searched = buffer.len();
        if searched > LONGEST_LINE {
            return Err(ReadError::NotSmtp);
        }
        match io.read_buf(buffer).await {
            Ok(0) | Err(_) => return Err(ReadError::Closed),
            Ok(_) => {}
        }
    }
}

/// Code, whether it is the last line, and text.
fn split(line: &[u8]) -> Option<(u16, bool, String)> {
    let (code, rest) = line.split_first_chunk::<3>()?;
    let code: u16 = std::str::from_utf8(code).ok()?.parse().ok()?;
    let (last, text) = match rest {
        [] => (true, rest),
        [b' ', text @ ..] => (true, text),
        [b'-', text @ ..] => (false, text),
        _ => return None,
    };
    (200..600).contains(&code).then(|| (code, last, String::from_utf8_lossy(text).into_owned()))
}

/// The enhanced code that `text` begins with, if it is of the class of `code`
/// (RFC 2034, 4).
fn enhanced(text: &str, code: u16) -> Option<Enhanced> {
    let word = text.split(' ').next()?;
    let mut parts = word.split('.');
    let class: u8 = parts.next()?.parse().ok()?;
    let found = (class, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (parts.next().is_none() && u16::from(class) == code / 100).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::{BytesMut, LONGEST_REPLY, ReadError, Reply, Status, read};
    use proptest::prelude::*;

    async fn read_all(mut bytes: &[u8]) -> Result<Reply, ReadError> {
        read(&mut bytes, &mut BytesMut::new()).await
    }

    #[tokio::test]
    async fn a_reply_of_many_lines_is_one_reply_and_what_follows_stays() {
        let mut io: &[u8] = b"250-relay.example\r\n250-SIZE 1000\r\n250 OK\r\n550 5.1.1 no\r\n";
        let mut buffer = BytesMut::new();
        let reply = read(&mut io, &mut buffer).await.ok().unwrap();
        assert_eq!(reply.lines, ["relay.example", "SIZE 1000", "OK"]);
        let reply = read(&mut io, &mut buffer).await.ok().unwrap();
        assert_eq!(reply.status, Status { code: 550, enhanced: Some((5, 1, 1)) });
    }

    #[tokio::test]
    async fn an_enhanced_code_counts_only_in_its_class() {
        for (line, expected) in [
            ("550 5.7.26 no\r\n", Some((5, 7, 26))),
            ("550 4.7.1 no\r\n", None),
            ("550 5.7 no\r\n", None),
            ("550 5.1.1.1 no\r\n", None),
            ("550 no such user 5.1.1\r\n", None),
            ("250\r\n", None),
            ("250 2.0.0\n", Some((2, 0, 0))),
        ] {
            let reply = read_all(line.as_bytes()).await.ok().unwrap();
            assert_eq!(reply.status.enhanced, expected, "{line}");
        }
    }

    #[tokio::test]
    async fn what_is_no_reply_or_has_no_end_is_told_from_a_closed_connection() {
        let endless = b"250-\r\n".repeat(LONGEST_REPLY);
        let long = vec![b'2'; 100_000];
        for garbage in [
            b"HTTP/1.1 400 Bad Request\r\n".as_slice(),
            b"25\r\n",
            b"\r\n",
            b"250_x\r\n",
            b"199 x\r\n",
            b"600 x\r\n",
            b"250-a\r\n251 b\r\n",
            b"+50 a\r\n",
            &endless,
            &long,
        ] {
            assert_eq!(read_all(garbage).await.err(), Some(ReadError::NotSmtp));
        }
        for cut in [b"".as_slice(), b"250", b"250-a\r\n"] {
            assert_eq!(read_all(cut).await.err(), Some(ReadError::Closed));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(bytes: Vec<u8>) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(read_all(&bytes));
        }
    }
}
