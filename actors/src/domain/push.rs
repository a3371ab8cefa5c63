//! A push notification on its way to a provider.

use std::sync::Arc;

use super::citizen::{Language, Platform};
use super::id::{DeliveryId, MessageId};
use super::lane::Lane;
use super::time::Millis;

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

/// One push to hand to a provider. Every attempt of a delivery carries the
/// same ids.
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
