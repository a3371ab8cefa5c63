//! A live session: somebody who wants to know at once when an inbox changes.
//!
//! It is told *that* something changed, never what: the store's order is the
//! only queue, so that nothing is buffered for a slow reader and nothing can
//! be missed between two looks.

use tokio::sync::watch;

/// Limits of the live sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveLimits {
    /// Sessions at one time; each holds a connection of its reader.
    pub max_sessions: usize,
    /// Sessions of one citizen: one a device, and some that the network has
    /// lost and nobody has noticed yet.
    pub max_sessions_per_citizen: usize,
}

/// One session, held by whoever reads. Dropping it ends it.
pub struct LiveSession {
    pub(crate) woken: watch::Receiver<()>,
}

impl LiveSession {
    /// Waits until the inbox may have changed since the last call; false when
    /// the session is over: revoked, or the hub was restarted. Can be dropped
    /// while it waits without missing anything.
    pub async fn changed(&mut self) -> bool {
        // A change not yet looked at is answered before the end: ask again.
        self.woken.changed().await.is_ok() && self.woken.has_changed().is_ok()
    }
}

/// Why no session could be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LiveRefused {
    /// The citizen has as many sessions as allowed.
    #[error("too many live sessions of this citizen")]
    TooManyOfCitizen,
    /// The server has as many sessions as allowed.
    #[error("too many live sessions")]
    TooMany,
    /// The hub is being restarted: try again.
    #[error("live sessions are not available now")]
    Unavailable,
}
