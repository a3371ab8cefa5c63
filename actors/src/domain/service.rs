//! Organisations, their services and the keys that speak for them.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::fiscal_code::FiscalCode;
use super::id::{OrganizationId, ServiceId};
use super::lane::Lane;
use super::time::Millis;

/// A public body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// Its 11-digit fiscal code.
    pub id: OrganizationId,
    /// Its name, as citizens read it.
    pub name: String,
}

/// Category of a service (IO `ServiceCategory`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ServiceCategory {
    /// Reaches whoever did not switch it off.
    #[default]
    Standard,
    /// Reaches only those who activated it.
    Special,
}

/// A service: what a citizen can switch on or off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Identifier, also the sender's name on the wire.
    pub id: ServiceId,
    /// Name, as citizens read it.
    pub name: String,
    /// Department within the organisation.
    pub department: String,
    /// Owner.
    pub organization: Organization,
    /// Whether citizens must activate it first.
    pub category: ServiceCategory,
    /// Its messages never go by e-mail, and pushes show nothing of them.
    pub require_secure_channels: bool,
    /// Highest payment a message may ask for, in euro cents; 0 forbids
    /// payments.
    pub max_payment_cents: u64,
    /// Lane of its messages.
    pub lane: Lane,
    /// Permissions of its keys (IO "groups", such as
    /// `ApiMessageWriteAdvanced`).
    pub groups: Vec<String>,
    /// Networks its keys may call from, in CIDR form; empty means any.
    pub authorized_cidrs: Vec<String>,
    /// Whom a limited key (`ApiLimitedMessageWrite`) may write to.
    pub authorized_recipients: Vec<FiscalCode>,
    /// Off refuses its calls and suppresses what is still queued.
    pub enabled: bool,
}

impl Service {
    /// Whether the service's keys have permission `group`.
    #[must_use]
    pub fn has_group(&self, group: &str) -> bool {
        self.groups.iter().any(|held| held == group)
    }
}

/// What a key may do; each role includes nothing of the others but `Admin`,
/// which may do everything an operator can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads the operator API.
    Viewer,
    /// Sends messages in the name of one service.
    Sender,
    /// Approves alerts.
    Approver,
    /// Changes organisations, services, keys and citizens.
    Admin,
}

/// A key as stored: never the key itself, only its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Public identifier, for lists and revocation.
    pub id: String,
    /// BLAKE3 hash of the key (32 random bytes, so that no slow hash is
    /// needed).
    pub hash: [u8; 32],
    /// The person or system it belongs to.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The service it speaks for; only and always with [`Role::Sender`].
    pub service: Option<ServiceId>,
    /// When it was made.
    pub created_at: Millis,
}

/// Everything the operators registered, as loaded at start.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// Organisations.
    pub organizations: Vec<Organization>,
    /// Services, each with its organisation.
    pub services: Vec<Arc<Service>>,
    /// Keys.
    pub keys: Vec<ApiKey>,
}
