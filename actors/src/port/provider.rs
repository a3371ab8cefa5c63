//! Providers: who carries a delivery to the citizen's device or mailbox.
//!
//! A [`Connector`] opens [`Link`]s (connections) of one route; a link carries
//! many attempts at once. Protocols and the reading of a provider's answers
//! stay behind these traits; what the engine does about an answer is decided
//! from [`Answer`] alone.

use async_trait::async_trait;
use std::sync::Arc;

pub use crate::domain::answer::{Answer, Reason};
pub use crate::domain::email::Email;
pub use crate::domain::notification::{Carrier, Notification};
pub use crate::domain::push::{Notice, Push};

/// Why no link could be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The provider cannot be reached now; worth trying again.
    #[error("{0}")]
    Unreachable(String),
    /// The provider refuses our credentials or certificate; an operator must
    /// act.
    #[error("{0}")]
    Refused(String),
}

/// Opens connections of one route.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// Opens one more connection, ready to carry attempts (TLS, SETTINGS and
    /// credentials done).
    ///
    /// # Errors
    /// [`ConnectError`], with one sentence for the operator.
    async fn connect(&self) -> Result<Arc<dyn Link>, ConnectError>;
}

/// One open connection.
#[async_trait]
pub trait Link: Send + Sync + 'static {
    /// How many attempts it can carry at once now. Starts at 1 where the
    /// provider demands a first accepted request, 0 when it is closing.
    fn capacity(&self) -> usize;

    /// Whether it takes no more attempts (closed, or GOAWAY received).
    fn is_closed(&self) -> bool;

    /// Makes one attempt. Never longer than the link's own deadline.
    async fn send(&self, notification: &Notification) -> Answer;
}
