//! The task that drives one connection.
//!
//! Owns the socket. After each step of the protocol it publishes what the peer
//! allows (SETTINGS) and whether new streams are still taken (GOAWAY, error,
//! stream ids used up). An idle connection is tested by PING; a request that
//! got no answer asks for a PING at once, so that a dead path is noticed in
//! seconds and not in an hour. When the task ends, the window closes and every
//! open stream learns that the connection is gone.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::window::Window;

/// What a connection's task and its requests share.
pub(super) struct Shared {
    pub(super) window: Window,
    /// Asks for a PING now.
    pub(super) probe: Notify,
    opened: Instant,
    /// Milliseconds from `opened` to the last request.
    last_used: AtomicU64,
}

impl Shared {
    pub(super) fn new(window: Window) -> Self {
        Self { window, probe: Notify::new(), opened: Instant::now(), last_used: AtomicU64::new(0) }
    }

    /// Notes a request at `now`.
    pub(super) fn touch(&self, now: Instant) {
        let passed = now.saturating_duration_since(self.opened).as_millis();
        self.last_used.store(u64::try_from(passed).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn last_used(&self) -> Instant {
        self.opened + Duration::from_millis(self.last_used.load(Ordering::Relaxed))
    }
}

/// When the connection is tested.
#[derive(Clone, Copy)]
pub(super) struct KeepAlive {
    pub(super) idle: Duration,
    pub(super) timeout: Duration,
}

/// Drives the connection until it ends.
pub(super) async fn drive<T>(
    mut connection: Connection<T, Bytes>,
    mut sender: SendRequest<Bytes>,
    shared: Arc<Shared>,
    keep_alive: KeepAlive,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    let pings = connection.ping_pong();
    let protocol = poll_fn(|cx| {
        let state = Pin::new(&mut connection).poll(cx);
        shared.window.set_peer(connection.max_concurrent_send_streams());
        // This handle has no stream of its own: it is ready until the connection takes no more streams.
        if let Poll::Ready(Err(error)) = sender.poll_ready(cx)
            && !shared.window.is_closed()
        {
            tracing::info!(reason = word(&error), "connection takes no more requests");
            shared.window.close();
        }
        state
    });
    tokio::select! {
        ended = protocol => {
            if let Err(error) = ended {
                tracing::info!(reason = word(&error), "connection ended");
            }
        }
        () = test_when_idle(pings, &shared, keep_alive) => {
            tracing::warn!("connection ended: PING was not answered");
        }
    }
    shared.window.close();
}

/// Ends when a PING is not answered.
async fn test_when_idle(pings: Option<PingPong>, shared: &Shared, keep_alive: KeepAlive) {
    let Some(mut pings) = pings else {
        return std::future::pending().await;
    };
    loop {
        let due = shared.last_used() + keep_alive.idle;
        let asked = tokio::select! {
            () = tokio::time::sleep_until(due) => false,
            () = shared.probe.notified() => true,
        };
        let now = Instant::now();
        if !asked && shared.last_used() + keep_alive.idle > now {
            continue;
        }
        match tokio::time::timeout(keep_alive.timeout, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => shared.touch(Instant::now()),
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// An error in one word of a fixed list. The debug data of a GOAWAY is free
/// text of the peer: only Apple's documented reasons are taken from it.
fn word(error: &h2::Error) -> &'static str {
    const APPLE: [&str; 6] = [
        "BadCertificateEnvironment",
        "BadCertificate",
        "IdleTimeout",
        "Shutdown",
        "InvalidProviderToken",
        "InternalServerError",
    ];
    if error.is_io() {
        return "connection lost";
    }
    let text = error.to_string();
    if let Some(found) = APPLE.into_iter().find(|reason| text.contains(reason)) {
        return found;
    }
    match (error.is_remote(), error.reason()) {
        (true, Some(h2::Reason::NO_ERROR)) => "GOAWAY",
        (true, Some(h2::Reason::ENHANCE_YOUR_CALM)) => "GOAWAY: ENHANCE_YOUR_CALM",
        (true, _) => "GOAWAY with an error",
        (false, _) => "protocol error",
    }
}
