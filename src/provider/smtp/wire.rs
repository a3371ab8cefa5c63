//! The byte stream below a session: commands out, replies in, each within its
//! deadline.
//!
//! Owns the read buffer, bounded by the limits of [`reply`](super::reply).
//! Every wait has an end; what ran out of time or broke off is told apart by
//! whether all of what was written left us.

use std::time::Duration;

use araldo_actors::port::provider::Reason;
use bytes::BytesMut;
use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::reply::{self, ReadError, Reply};

/// Bytes written at one time, each within the block deadline.
const BLOCK: usize = 64 * 1024;

/// What a session runs over.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Why the wire is of no more use; a word for people and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken(pub(super) Reason);

const LOST: Broken = Broken("connection lost");
const TIMEOUT: Broken = Broken("timeout");
const NOT_SMTP: Broken = Broken("not an SMTP reply");

/// See the module's text.
pub(super) struct Wire<S> {
    io: S,
    buffer: BytesMut,
}

impl<S: Io> Wire<S> {
    pub(super) fn new(io: S) -> Self {
        Self { io, buffer: BytesMut::new() }
    }

    /// The stream, if nothing was read from it that no reply has used: what a
    /// relay, or somebody in between, said before TLS must not count after it
    /// (RFC 3207, 4.2; CVE-2011-0411).
    pub(super) fn into_clean(self) -> Option<S> {
        self.buffer.is_empty().then_some(self.io)
    }

    /// Writes `bytes` and hands them to the system, each block within `limit`.
    /// On an error not all of them can have arrived, unless `Err` says so.
    pub(super) async fn write(&mut self, bytes: &[u8], limit: Duration) -> Result<(), WriteError> {
        for block in bytes.chunks(BLOCK) {
            let mut rest = block;
            let written = timeout(limit, async {
                while !rest.is_empty() {
                    let count = self.io.write(rest).await?;
                    if count == 0 {
                        return Err(std::io::ErrorKind::WriteZero.into());
                    }
                    rest = &rest[count..];
                }
                self.io.flush().await
            })
            .await;
            let broken = match written {
                Ok(Ok(())) => continue,
                Ok(Err(_)) => LOST,
                Err(_) => TIMEOUT,
            };
            let is_last = block.as_ptr_range().end == bytes.as_ptr_range().end;
            return Err(WriteError { broken, complete: is_last && rest.is_empty() });
        }
        Ok(())
    }

    /// Reads one reply within `limit`.
    pub(super) async fn reply(&mut self, limit: Duration) -> Result<Reply, Broken> {
        match timeout(limit, reply::read(&mut self.io, &mut self.buffer)).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(ReadError::Closed)) => Err(LOST),
            Ok(Err(ReadError::NotSmtp)) => Err(NOT_SMTP),
            Err(_) => Err(TIMEOUT),
        }
    }

    /// One command and its reply.
    pub(super) async fn ask(&mut self, command: &str, limit: Duration) -> Result<Reply, Broken> {
        self.write(command.as_bytes(), limit).await.map_err(|error| error.broken)?;
        self.reply(limit).await
    }

    /// Whether the relay has spoken or hung up while nothing was asked of it;
    /// both mean that the session is over (RFC 5321, 3.8).
    pub(super) fn has_ended(&mut self) -> bool {
        !self.buffer.is_empty() || self.io.read_buf(&mut self.buffer).now_or_never().is_some()
    }

    /// Says goodbye, if that can be done without waiting; the answer is not
    /// waited for.
    pub(super) fn quit(&mut self) {
        let goodbye = async {
            self.io.write_all(b"QUIT\r\n").await?;
            self.io.flush().await
        };
        // Nothing depends on it: the relay sees the end of the connection.
        let _ = goodbye.now_or_never();
    }
}

/// Why not everything could be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WriteError {
    pub(super) broken: Broken,
    /// Whether all of it had left for the system all the same.
    pub(super) complete: bool,
}
