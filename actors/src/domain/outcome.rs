//! Where a delivery ends, and the order among states that makes every record
//! move in one direction only.
//!
//! `Pending` may become any outcome; an outcome never changes. A second
//! outcome for the same delivery (a late answer, a crash between the
//! provider's answer and our record) is dropped by the store, so that the
//! books count each delivery once (promise 2).

use serde::{Deserialize, Serialize};

use super::time::Millis;

/// Why no attempt was made, by somebody's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suppression {
    /// The citizen switched the channel off in the profile.
    ChannelOff,
    /// The citizen switched the channel, or the service, off for this service.
    ServicePreference,
    /// The content must not leave by this channel.
    SecureChannels,
    /// The e-mail address is missing or was never confirmed.
    AddressNotValidated,
    /// The operator switched the service off.
    ServiceDisabled,
}

impl Suppression {
    /// Name in metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChannelOff => "channel_off",
            Self::ServicePreference => "service_preference",
            Self::SecureChannels => "secure_channels",
            Self::AddressNotValidated => "address_not_validated",
            Self::ServiceDisabled => "service_disabled",
        }
    }
}

/// Why a delivery failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The provider says the device or address is gone.
    EndpointGone,
    /// The device was removed before the attempt.
    EndpointRemoved,
    /// The provider refused the content or its headers.
    RefusedContent,
    /// The provider refused this device under our credentials.
    RefusedEndpoint,
    /// The retry budget ran out.
    RetriesExhausted,
    /// Deciding about the delivery failed repeatedly: a fault of ours.
    TurnFailed,
}

impl Failure {
    /// Name in metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EndpointGone => "endpoint_gone",
            Self::EndpointRemoved => "endpoint_removed",
            Self::RefusedContent => "refused_content",
            Self::RefusedEndpoint => "refused_endpoint",
            Self::RetriesExhausted => "retries_exhausted",
            Self::TurnFailed => "turn_failed",
        }
    }
}

/// The one end of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// Accepted by the provider, or stored in the inbox; never "read".
    Delivered,
    /// Failed for good.
    Failed(Failure),
    /// The message's time to live passed first.
    Expired,
    /// Recalled by the sender or stopped by an operator.
    Cancelled,
    /// Not attempted, by somebody's choice.
    Suppressed(Suppression),
}

impl Outcome {
    /// Name in metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed(_) => "failed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Suppressed(_) => "suppressed",
        }
    }
}

/// State of one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryStatus {
    /// Waiting for its next attempt, or in it.
    Pending {
        /// When the next attempt is due.
        due: Millis,
    },
    /// Ended.
    Ended {
        /// How.
        outcome: Outcome,
        /// When it was recorded.
        at: Millis,
    },
}

impl DeliveryStatus {
    /// Moves to `outcome` if that is a move upward. Returns whether it moved.
    pub fn settle(&mut self, outcome: Outcome, at: Millis) -> bool {
        match self {
            Self::Pending { .. } => {
                *self = Self::Ended { outcome, at };
                true
            }
            Self::Ended { .. } => false,
        }
    }

    /// When the next attempt is due, while pending.
    #[must_use]
    pub const fn due(&self) -> Option<Millis> {
        match self {
            Self::Pending { due } => Some(*due),
            Self::Ended { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DeliveryStatus, Failure, Millis, Outcome};

    #[test]
    fn an_outcome_is_never_replaced() {
        let mut status = DeliveryStatus::Pending { due: Millis(1) };
        assert!(status.settle(Outcome::Delivered, Millis(2)));
        assert!(!status.settle(Outcome::Failed(Failure::EndpointGone), Millis(3)));
        assert_eq!(status, DeliveryStatus::Ended { outcome: Outcome::Delivered, at: Millis(2) });
    }
}
