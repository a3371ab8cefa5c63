//! An e-mail on its way to a relay.

use std::sync::Arc;

use super::citizen::Language;
use super::id::DeliveryId;
use super::lane::Lane;
use super::message::Message;
use super::service::Service;
use super::time::Millis;

/// One mail to hand to a relay. Every attempt of a delivery carries the same
/// ids. It holds what to say; how it is written (text, HTML, headers) is the
/// provider's work.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    /// Names the delivery (`Message-ID`).
    pub delivery: DeliveryId,
    /// The citizen's address.
    pub to: String,
    /// The citizen's language.
    pub language: Language,
    /// The citizen's IANA time zone; none means Europe/Rome.
    pub timezone: Option<String>,
    /// What is sent.
    pub message: Arc<Message>,
    /// Who sends it.
    pub service: Arc<Service>,
    /// Whether its text goes to many: then it is worth keeping once written.
    pub shared: bool,
}

impl Email {
    /// Priority.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.message.lane
    }

    /// No attempt starts at or after this instant.
    #[must_use]
    pub fn expires_at(&self) -> Millis {
        self.message.expires_at()
    }
}

/// Addresses and text are personal: a debug print shows only the delivery.
impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Email({:?})", self.delivery)
    }
}
