//! What the jobs of a group have changed so far, decoded: a batch cannot be
//! read before it is committed, so this is what the next job of the group
//! sees. Each row is encoded once, at the end, however many jobs touched it.

use std::collections::{HashMap, HashSet};

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::delivery::MessageState;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{AddressId, MessageId, RouteId};
use araldo_actors::domain::time::Millis;

use super::alert;
use super::key::{ChangeKey, DueKey, InboxKey};
use super::row::{ClaimRow, InboxRow};

/// A row in memory, and whether it must be written.
pub(super) struct Cell<T> {
    pub(super) value: T,
    pub(super) changed: bool,
}

impl<T> Cell<T> {
    /// A row as it is in its table.
    pub(super) const fn read(value: T) -> Self {
        Self { value, changed: false }
    }

    /// A row to be written.
    pub(super) const fn written(value: T) -> Self {
        Self { value, changed: true }
    }
}

/// Rows the group touched.
#[derive(Default)]
pub(super) struct Overlay {
    /// Messages accepted by the group.
    pub(super) accepted: HashSet<(u16, MessageId)>,
    /// None: the partition does not hold the message.
    pub(super) states: HashMap<(u16, MessageId), Option<Cell<MessageState>>>,
    /// None: the citizen is not known.
    pub(super) ordinals: HashMap<FiscalCode, Option<u32>>,
    pub(super) citizens: HashMap<(u16, u32), Cell<Citizen>>,
    pub(super) claims: HashMap<[u8; 32], ClaimRow>,
    /// Due entries: written (true) or removed.
    pub(super) due: HashMap<DueKey, bool>,
    /// None: there is no such entry.
    pub(super) inbox: HashMap<InboxKey, Option<Cell<InboxRow>>>,
    /// Places of changes of marks: of which inbox entry, or removed.
    pub(super) changes: HashMap<ChangeKey, Option<u64>>,
    /// Who validated an address; none: nobody.
    pub(super) addresses: HashMap<AddressId, Cell<Option<FiscalCode>>>,
    /// Pending requests to be deleted: written (true) or removed.
    pub(super) deletions: HashMap<(Millis, FiscalCode), bool>,
    pub(super) routes: HashMap<RouteId, u16>,
    /// Keys of `registry`: written (true) or removed.
    pub(super) registered: HashMap<Vec<u8>, bool>,
    pub(super) partitions: HashSet<u16>,
    pub(super) alerts: alert::Overlay,
}
