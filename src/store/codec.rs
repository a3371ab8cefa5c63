//! Rows that stores have in common, and how they are written: postcard, or laid
//! out by hand where they are small. A value that cannot be read is damage, and
//! the error names its table and place, never its content.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use araldo_actors::domain::delivery::Endpoint;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{DeviceId, MessageId, OrganizationId, ServiceId};
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::service::{Organization, Service, ServiceCategory};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::StoreError;

/// The first use of an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClaimRow {
    pub(super) message: MessageId,
    pub(super) body: [u8; 32],
    pub(super) at: Millis,
}

/// A service; its organisation by reference.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ServiceRow {
    id: ServiceId,
    name: String,
    department: String,
    pub(super) organization: OrganizationId,
    category: ServiceCategory,
    require_secure_channels: bool,
    max_payment_cents: u64,
    lane: Lane,
    groups: Vec<String>,
    authorized_cidrs: Vec<String>,
    authorized_recipients: Vec<FiscalCode>,
    enabled: bool,
}

impl ServiceRow {
    pub(super) fn of(service: Service) -> Self {
        Self {
            id: service.id,
            name: service.name,
            department: service.department,
            organization: service.organization.id,
            category: service.category,
            require_secure_channels: service.require_secure_channels,
            max_payment_cents: service.max_payment_cents,
            lane: service.lane,
            groups: service.groups,
            authorized_cidrs: service.authorized_cidrs,
            authorized_recipients: service.authorized_recipients,
            enabled: service.enabled,
        }
    }

    pub(super) fn into_service(self, organization: Organization) -> Service {
        Service {
            id: self.id,
            name: self.name,
            department: self.department,
            organization,
            category: self.category,
            require_secure_channels: self.require_secure_channels,
            max_payment_cents: self.max_payment_cents,
            lane: self.lane,
            groups: self.groups,
            authorized_cidrs: self.authorized_cidrs,
            authorized_recipients: self.authorized_recipients,
            enabled: self.enabled,
        }
    }
}

/// An endpoint in keys: a tag and the device's number.
pub(super) fn endpoint_bytes(endpoint: Endpoint) -> [u8; 9] {
    let (tag, device): (u8, u64) = match endpoint {
        Endpoint::Inbox => (0, 0),
        Endpoint::Device(device) => (1, device.0),
        Endpoint::Mailbox => (2, 0),
    };
    let mut bytes = [tag; 9];
    bytes[1..].copy_from_slice(&device.to_be_bytes());
    bytes
}

/// Reads what [`endpoint_bytes`] wrote.
pub(super) fn read_endpoint(bytes: &[u8; 9]) -> Option<Endpoint> {
    let (tag, device) = bytes.split_first()?;
    match tag {
        0 => Some(Endpoint::Inbox),
        1 => Some(Endpoint::Device(DeviceId(u64::from_be_bytes(device.try_into().ok()?)))),
        2 => Some(Endpoint::Mailbox),
        _ => None,
    }
}

/// Encodes into `buffer`, replacing what it held.
///
/// # Errors
/// [`StoreError::Unavailable`]: the value cannot be stored.
pub(super) fn encode<T: Serialize>(
    table: &str,
    value: &T,
    buffer: &mut Vec<u8>,
) -> Result<(), StoreError> {
    buffer.clear();
    match postcard::to_extend(value, std::mem::take(buffer)) {
        Ok(encoded) => {
            *buffer = encoded;
            Ok(())
        }
        Err(error) => Err(StoreError::Unavailable(format!(
            "a row of table '{table}' cannot be encoded: {error}"
        ))),
    }
}

/// Decodes a row; `place` says which, for the error.
///
/// # Errors
/// [`StoreError::Damaged`].
pub(super) fn decode<T: DeserializeOwned>(
    table: &str,
    bytes: &[u8],
    place: impl FnOnce() -> String,
) -> Result<T, StoreError> {
    postcard::from_bytes(bytes).map_err(|_| unreadable(table, place))
}

/// The error for a row that cannot be read.
pub(super) fn unreadable(table: &str, place: impl FnOnce() -> String) -> StoreError {
    StoreError::Damaged(format!("table '{table}', {}: the row cannot be read", place()))
}
