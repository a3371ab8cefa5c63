//! What a provider said of an attempt.

use std::time::Duration;

use super::outcome::Failure;
use super::time::Millis;

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
    /// The provider failed over this delivery (5xx): try it again later; a run
    /// of these is an outage.
    ProviderFailed {
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
