//! A message: one content from a service to one citizen.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::fiscal_code::FiscalCode;
use super::id::{MessageId, OrganizationId, ServiceId};
use super::lane::Lane;
use super::time::Millis;

/// A payment notice of pagoPA carried by a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentData {
    /// Euro cents, 1 to 9 999 999 999.
    pub amount: u64,
    /// 18 digits, the first 0 to 3.
    pub notice_number: String,
    /// The notice cannot be paid after the due date.
    pub invalid_after_due_date: bool,
    /// Who is paid; none means the sender's organisation.
    pub payee: Option<OrganizationId>,
}

/// What the citizen reads.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// 10 to 120 characters.
    pub subject: String,
    /// 80 to 10 000 characters.
    pub markdown: String,
    /// Overrides the service's flag when present.
    pub require_secure_channels: Option<bool>,
    /// A deadline.
    pub due_date: Option<Millis>,
    /// A payment.
    pub payment: Option<PaymentData>,
    /// Further parts of IO's contract that Araldo carries unread, as the JSON
    /// object the sender gave (for example `third_party_data`).
    pub extra: Option<String>,
}

/// Message text is personal: a debug print shows only lengths.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({} bytes)", self.subject.len() + self.markdown.len())
    }
}

/// Level of the features a message asks for (IO `FeatureLevelType`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum FeatureLevel {
    /// Ordinary message.
    #[default]
    Standard,
    /// Premium features; needs a permission of the key.
    Advanced,
}

/// A message as accepted; immutable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Identifier.
    pub id: MessageId,
    /// Recipient.
    pub fiscal_code: FiscalCode,
    /// Sender.
    pub service: ServiceId,
    /// When it was accepted.
    pub accepted_at: Millis,
    /// Attempts end this long after acceptance, 3 600 to 604 800 seconds.
    pub time_to_live: u32,
    /// Priority.
    pub lane: Lane,
    /// Feature level.
    pub feature_level: FeatureLevel,
    /// What the citizen reads.
    pub content: Content,
}

impl Message {
    /// No attempt starts at or after this instant.
    #[must_use]
    pub fn expires_at(&self) -> Millis {
        self.accepted_at.after(Duration::from_secs(u64::from(self.time_to_live)))
    }
}

/// Why a message was rejected (IO `RejectionReason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RejectionReason {
    /// The citizen, or the operator, does not let this service in.
    ServiceNotAllowed,
    /// No citizen has this fiscal code.
    UserNotFound,
    /// Anything else.
    Unknown,
}

impl RejectionReason {
    /// Every reason, for tables and metrics.
    pub const ALL: [Self; 3] = [Self::ServiceNotAllowed, Self::UserNotFound, Self::Unknown];

    /// Name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServiceNotAllowed => "SERVICE_NOT_ALLOWED",
            Self::UserNotFound => "USER_NOT_FOUND",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// Where a message stands. Everything but `Accepted` is final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageStatus {
    /// Durable, its citizen's turn not yet taken.
    Accepted,
    /// In the inbox; its deliveries are planned.
    Processed,
    /// Refused by the citizen's choice or for want of a citizen.
    Rejected(RejectionReason),
    /// Its time to live passed before the turn was taken.
    Expired,
    /// Taken back by its sender.
    Recalled,
    /// Its processing failed repeatedly; the text says how.
    Quarantined(String),
}
