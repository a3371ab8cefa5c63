//! Providers: who carries a delivery to the citizen's device.
//!
//! A [`Connector`] opens [`Link`]s (connections) of one route; a link carries
//! many attempts at once. Protocols and the reading of a provider's answers
//! stay behind these traits; what the engine does about an answer is decided
//! from [`Answer`] alone.

use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::citizen::{Language, Platform};
use crate::domain::id::{DeliveryId, MessageId};
use crate::domain::lane::Lane;
use crate::domain::outcome::Failure;
use crate::domain::time::Millis;

/// What a push notification shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Notice {
    /// Title.
    pub title: String,
    /// Text.
    pub body: String,
    /// Language of both.
    pub language: Language,
}

/// Message text is personal: a debug print shows none of it.
impl std::fmt::Debug for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Notice(..)")
    }
}

/// One push to hand to a provider. Two attempts of the same delivery are
/// equal but for `number`.
#[derive(Clone, PartialEq, Eq)]
pub struct Push {
    /// Names the delivery to the provider (`apns-id`, `data.delivery_id`).
    pub delivery: DeliveryId,
    /// Names the message (collapse id, tag).
    pub message: MessageId,
    /// The network.
    pub platform: Platform,
    /// The device's token.
    pub token: String,
    /// What to show.
    pub notice: Arc<Notice>,
    /// Priority.
    pub lane: Lane,
    /// The provider should not keep it longer.
    pub expires_at: Millis,
}

/// Tokens are personal: a debug print shows only the delivery.
impl std::fmt::Debug for Push {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Push({:?})", self.delivery)
    }
}

/// A provider's answer, by what the engine must do about it
/// (reference: Apple "Handling notification responses", Google "FCM error
/// codes").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The provider took it over.
    Accepted,
    /// Try this delivery again later; nothing is wrong with the route.
    /// `after` is the provider's own wish, if it said one.
    RetryDelivery {
        /// Earliest wish of the provider.
        after: Option<Duration>,
        /// The provider's word, for metrics.
        reason: Reason,
    },
    /// Slow the whole route down, then try again.
    RetryRoute {
        /// How long the provider asked to wait.
        after: Option<Duration>,
        /// The provider's word, for metrics.
        reason: Reason,
    },
    /// Never processed (refused stream, GOAWAY, idle timeout, expired
    /// credential already renewed): try again at once, elsewhere.
    RetryElsewhere {
        /// The provider's word, for metrics.
        reason: Reason,
    },
    /// No answer: it may or may not have been taken over. Repeat under the
    /// same id.
    Unknown {
        /// What happened, for metrics.
        reason: Reason,
    },
    /// The device is gone: drop the token, never retry.
    DropToken {
        /// Only if our registration is older than this instant.
        registered_before: Option<Millis>,
        /// The provider's word, for metrics.
        reason: Reason,
    },
    /// This delivery can never succeed; others may.
    Fail {
        /// How it is recorded.
        failure: Failure,
        /// The provider's word, for metrics.
        reason: Reason,
    },
    /// Our configuration or credentials are at fault: stop the route and call
    /// the operator; the delivery waits.
    Halt {
        /// The provider's word, shown to the operator.
        reason: Reason,
    },
}

/// A provider's word for what happened: from a fixed list, never free text
/// with personal data in it.
pub type Reason = &'static str;

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
    async fn send(&self, push: &Push) -> Answer;
}
