//! Values of the rows. Small fixed ones are laid out by hand (20 bytes or
//! fewer are kept inline by the storage engine, without an allocation); the
//! others are postcard. A value that cannot be read is damage, and the error
//! names its table and place, never its content.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use araldo_actors::domain::books::Books;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{MessageId, OrganizationId, ServiceId};
use araldo_actors::domain::inbox::{InboxEntry, Marks};
use araldo_actors::domain::lane::{ByLane, Lane};
use araldo_actors::domain::service::{Organization, Service, ServiceCategory};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::StoreError;

use super::table::{TABLES, Table};

/// First row of `meta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FormatRow {
    pub(super) version: u16,
    pub(super) partitions: u16,
}

/// The number of the last group commit, and for each table the number of the
/// last one that wrote to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CommitRow {
    pub(super) number: u64,
    pub(super) last: [u64; TABLES],
}

/// Counters and books of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartitionRow {
    pub(super) epoch: u64,
    pub(super) journals: ByLane<JournalRow>,
    /// Publications and changes of marks so far.
    pub(super) events: u64,
    /// Next citizen.
    pub(super) next_ordinal: u32,
    pub(super) books: Books,
}

/// How far one intake journal reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JournalRow {
    /// Entries below this are gone.
    pub(super) checkpoint: u64,
    /// Next entry.
    pub(super) tail: u64,
}

/// One journal entry: which message, and the CRC-32 of its stored row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IntakeRow {
    pub(super) message: MessageId,
    pub(super) checksum: u32,
}

impl IntakeRow {
    pub(super) fn to_bytes(self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..16].copy_from_slice(&self.message.to_bytes());
        bytes[16..].copy_from_slice(&self.checksum.to_be_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (message, checksum) = bytes.split_first_chunk::<16>()?;
        let checksum = u32::from_be_bytes(checksum.try_into().ok()?);
        Some(Self { message: MessageId::from_bytes(*message), checksum })
    }
}

/// One inbox entry; its sequence is in the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InboxRow {
    pub(super) message: MessageId,
    pub(super) published_at: Millis,
    /// Place of the last change of its marks; 0 when they never changed.
    pub(super) marked: u64,
    pub(super) marks: Marks,
}

const READ: u8 = 1;
const ARCHIVED: u8 = 2;

impl InboxRow {
    pub(super) fn to_bytes(self) -> [u8; 33] {
        let mut bytes = [0; 33];
        bytes[..16].copy_from_slice(&self.message.to_bytes());
        bytes[16..24].copy_from_slice(&self.published_at.0.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.marked.to_be_bytes());
        bytes[32] =
            if self.marks.read { READ } else { 0 } | if self.marks.archived { ARCHIVED } else { 0 };
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (message, rest) = bytes.split_first_chunk::<16>()?;
        let (published_at, rest) = rest.split_first_chunk::<8>()?;
        let (marked, marks) = rest.split_first_chunk::<8>()?;
        let &[marks] = marks else { return None };
        (marks & !(READ | ARCHIVED) == 0).then_some(Self {
            message: MessageId::from_bytes(*message),
            published_at: Millis(u64::from_be_bytes(*published_at)),
            marked: u64::from_be_bytes(*marked),
            marks: Marks { read: marks & READ != 0, archived: marks & ARCHIVED != 0 },
        })
    }

    /// The entry at place `sequence`.
    pub(super) const fn entry(self, sequence: u64) -> InboxEntry {
        let Self { message, published_at, marked, marks } = self;
        InboxEntry { sequence, message, published_at, marks, marked }
    }
}

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

/// Encodes into `buffer`, replacing what it held.
///
/// # Errors
/// [`StoreError::Unavailable`]: the value cannot be stored.
pub(super) fn encode<T: Serialize>(
    table: Table,
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
            "a row of table '{}' cannot be encoded: {error}",
            table.name()
        ))),
    }
}

/// Decodes a row; `place` says which, for the error.
///
/// # Errors
/// [`StoreError::Damaged`].
pub(super) fn decode<T: DeserializeOwned>(
    table: Table,
    bytes: &[u8],
    place: impl FnOnce() -> String,
) -> Result<T, StoreError> {
    postcard::from_bytes(bytes).map_err(|_| unreadable(table, place))
}

/// The error for a row that cannot be read.
pub(super) fn unreadable(table: Table, place: impl FnOnce() -> String) -> StoreError {
    StoreError::Damaged(format!("table '{}', {}: the row cannot be read", table.name(), place()))
}

#[cfg(test)]
mod tests {
    use super::{InboxRow, IntakeRow, Marks, MessageId, Millis};

    #[test]
    fn fixed_rows_survive_the_round_trip() {
        let message = MessageId::new(Millis(3), 4);
        let intake = IntakeRow { message, checksum: 0xdead_beef };
        assert_eq!(IntakeRow::from_bytes(&intake.to_bytes()), Some(intake));
        for (read, archived) in [(false, false), (true, false), (false, true), (true, true)] {
            let marks = Marks { read, archived };
            let inbox = InboxRow { message, published_at: Millis(u64::MAX), marked: 7, marks };
            assert_eq!(InboxRow::from_bytes(&inbox.to_bytes()), Some(inbox));
        }
        assert_eq!(IntakeRow::from_bytes(&[0; 19]), None);
        assert_eq!(InboxRow::from_bytes(&[0; 24]), None);
        assert_eq!(InboxRow::from_bytes(&[4; 33]), None);
    }
}
