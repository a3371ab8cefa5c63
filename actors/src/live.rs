//! A live session: somebody who wants to know at once when an inbox changes.
//!
//! It is told *that* something changed, never what: the store's order is the
//! only queue, so that nothing is buffered for a slow reader and nothing can
//! be missed between two looks.

use tokio::sync::watch;

/// One session, held by whoever reads. Dropping it ends it.
pub struct LiveSession {
    pub(crate) woken: watch::Receiver<u64>,
}

impl LiveSession {
    /// Waits until the inbox may have changed since the last call; false when
    /// the session is over: revoked, or the hub was restarted.
    pub async fn changed(&mut self) -> bool {
        self.woken.changed().await.is_ok()
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
