//! One open connection and the requests on it.
//!
//! Owns the connection's task (ended on drop) and the meaning of what happens
//! to a stream: *never processed* (no stream was opened, REFUSED_STREAM, above
//! a GOAWAY's last id: RFC 9113, 6.8 and 8.7) or *unknown* (deadline, reset or
//! broken connection after sending). Bodies are bounded on both sides; a
//! request holds its slot until its stream is done.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use araldo_actors::port::provider::{Answer, Reason};
use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use hyper::{Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::TransportOptions;
use super::driver::{KeepAlive, Shared, drive};
use super::retry_after::retry_after;
use super::window::Window;

/// Header list of an answer, bytes.
const MAX_HEADERS: u32 = 16 * 1024;
/// Answers of all streams together may be this much ahead of us, bytes.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// A provider's answer to one request.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// `Retry-After`, clamped to an hour.
    pub retry_after: Option<Duration>,
    /// Body, cut at the limit of the options.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The provider did not process the request.
    #[error("not processed: {0}")]
    NotProcessed(Reason),
    /// The provider may or may not have processed the request.
    #[error("unknown: {0}")]
    Unknown(Reason),
}

impl From<CallError> for Answer {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotProcessed(reason) => Self::RetryElsewhere { reason },
            CallError::Unknown(reason) => Self::Unknown { reason },
        }
    }
}

/// The task of a connection, ended with its owner.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One open connection.
pub struct Channel {
    sender: SendRequest<Bytes>,
    shared: Arc<Shared>,
    _driver: Driver,
    request_timeout: Duration,
    max_response_bytes: usize,
}

impl Channel {
    /// Starts HTTP/2 on `io` and waits for the peer's SETTINGS; the caller
    /// sets the deadline.
    pub(super) async fn open<T>(
        io: T,
        options: &TransportOptions,
        first_alone: bool,
    ) -> Result<Self, String>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = h2::client::Builder::new()
            // No stream before SETTINGS: never assume a number (Apple).
            .initial_max_send_streams(0)
            .enable_push(false)
            .max_header_list_size(MAX_HEADERS)
            // Requests given up at once are remembered, so that their late answers are not taken for errors.
            .max_concurrent_reset_streams(options.max_streams)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(io)
            .await
            .map_err(|error| format!("HTTP/2: {error}"))?;
        let shared = Arc::new(Shared::new(Window::new(options.max_streams, first_alone)));
        let keep_alive =
            KeepAlive { idle: options.keep_alive_idle, timeout: options.keep_alive_timeout };
        let task = drive(connection, sender.clone(), Arc::clone(&shared), keep_alive);
        let channel = Self {
            sender,
            shared,
            _driver: Driver(tokio::spawn(task)),
            request_timeout: options.request_timeout,
            max_response_bytes: options.max_response_bytes,
        };
        // The first slot appears with SETTINGS.
        match channel.shared.window.slot().await {
            Ok(slot) => drop(slot),
            Err(_) => return Err("HTTP/2: closed by the server before SETTINGS".to_owned()),
        }
        Ok(channel)
    }

    /// How many requests it carries at once; 0 when it takes no more.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.window.capacity()
    }

    /// Whether it takes no more requests.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.window.is_closed()
    }

    /// Whether a request was accepted on it.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.shared.window.is_proven()
    }

    /// A request was accepted: more than one at a time may follow.
    pub fn prove(&self) {
        self.shared.window.prove();
    }

    /// Takes no more requests; those running end as they would.
    pub fn retire(&self) {
        self.shared.window.close();
    }

    /// When a request that begins now must have ended, by the options.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.request_timeout
    }

    /// Makes one request until `deadline`.
    ///
    /// # Errors
    /// [`CallError`]: whether the request can have been processed.
    pub async fn call(
        &self,
        request: Request<()>,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Reply, CallError> {
        let now = Instant::now();
        self.shared.touch(now);
        // Half of the time at most: what is sent must have time for its answer.
        let patience = now + deadline.saturating_duration_since(now) / 2;
        let _slot = match timeout_at(patience, self.shared.window.slot()).await {
            Ok(Ok(slot)) => slot,
            Ok(Err(_)) => return Err(CallError::NotProcessed("connection_closing")),
            Err(_) => return Err(CallError::NotProcessed("no_stream_free")),
        };
        // A process that stood still meanwhile must not send what is over.
        if Instant::now() >= deadline {
            return Err(CallError::NotProcessed("late"));
        }
        match timeout_at(deadline, self.exchange(request, body)).await {
            Ok(result) => result,
            Err(_) => {
                self.shared.probe.notify_one();
                Err(CallError::Unknown("timeout"))
            }
        }
    }

    async fn exchange(&self, request: Request<()>, body: Bytes) -> Result<Reply, CallError> {
        // A handle of its own per request: a shared one allows a single stream that is not open yet.
        let mut sender = self.sender.clone();
        let (response, mut stream) = sender
            .send_request(request, body.is_empty())
            .map_err(|_| CallError::NotProcessed("connection_closing"))?;
        if !body.is_empty() {
            // A stream that ended already says why in its response.
            let _ = stream.send_data(body, true);
        }
        let response = response.await.map_err(|error| fate(&error))?;
        let (parts, mut incoming) = response.into_parts();
        let body =
            if incoming.is_end_stream() { Bytes::new() } else { self.read(&mut incoming).await };
        let retry_after = retry_after(&parts.headers, SystemTime::now());
        Ok(Reply { status: parts.status, retry_after, body })
    }

    /// Reads the body up to the limit. The status has decided already: a body
    /// that breaks off is taken as far as it came.
    async fn read(&self, incoming: &mut h2::RecvStream) -> Bytes {
        let mut whole = BytesMut::new();
        while let Some(Ok(chunk)) = incoming.data().await {
            // An error here means the stream is gone, which the next read says.
            let _ = incoming.flow_control().release_capacity(chunk.len());
            let room = self.max_response_bytes - whole.len();
            if chunk.len() >= room {
                whole.extend_from_slice(&chunk[..room]);
                break;
            }
            if whole.is_empty() && incoming.is_end_stream() {
                return chunk;
            }
            whole.extend_from_slice(&chunk);
        }
        whole.freeze()
    }
}

/// Whether a stream that failed was processed.
fn fate(error: &h2::Error) -> CallError {
    if error.is_go_away() && error.is_remote() {
        // h2 gives this error only to streams above the last id of the GOAWAY.
        return CallError::NotProcessed("goaway");
    }
    match error.reason() {
        Some(h2::Reason::REFUSED_STREAM) if error.is_reset() && error.is_remote() => {
            CallError::NotProcessed("refused_stream")
        }
        _ if error.is_io() => CallError::Unknown("connection_lost"),
        Some(h2::Reason::ENHANCE_YOUR_CALM) => CallError::Unknown("enhance_your_calm"),
        _ if error.is_reset() => CallError::Unknown("stream_reset"),
        _ => CallError::Unknown("protocol_error"),
    }
}
