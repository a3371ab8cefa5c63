//! Reads. Each works on one view of all tables and so sees whole group
//! commits only. All of them block on the disk: never call from a runtime's
//! worker.

use std::collections::HashMap;
use std::sync::Arc;

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::delivery::{Endpoint, MessageState};
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{MessageId, OrganizationId, PartitionId};
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::message::{Message, MessageStatus};
use araldo_actors::domain::service::{ApiKey, Organization, Registry};
use araldo_actors::port::store::{Arrival, Journal, StoreError};

use super::key::{self, Registered};
use super::row::{IntakeRow, JournalRow, PartitionRow, ServiceRow, decode, unreadable};
use super::table::{Table, View};

impl View<'_> {
    pub(super) fn message(
        &self,
        partition: u16,
        id: MessageId,
    ) -> Result<Option<Message>, StoreError> {
        let found = self.get(Table::Messages, &key::message(partition, id))?;
        found.map(|row| decode(Table::Messages, &row, || place(partition, id))).transpose()
    }

    /// The state of a message accepted as `message`.
    pub(super) fn state(
        &self,
        partition: u16,
        message: &Message,
    ) -> Result<MessageState, StoreError> {
        match self.get(Table::States, &key::message(partition, message.id))? {
            Some(row) => decode(Table::States, &row, || place(partition, message.id)),
            None => Ok(MessageState::accepted(message.accepted_at)),
        }
    }

    /// The ordinal of a citizen.
    pub(super) fn ordinal(
        &self,
        partition: u16,
        code: &FiscalCode,
    ) -> Result<Option<u32>, StoreError> {
        let Some(row) = self.get(Table::CitizenIndex, &key::citizen_index(partition, code))? else {
            return Ok(None);
        };
        let bytes = row
            .as_ref()
            .try_into()
            .map_err(|_| unreadable(Table::CitizenIndex, || format!("partition {partition}")))?;
        Ok(Some(u32::from_be_bytes(bytes)))
    }

    pub(super) fn citizen(
        &self,
        partition: u16,
        code: &FiscalCode,
    ) -> Result<Option<Citizen>, StoreError> {
        let Some(ordinal) = self.ordinal(partition, code)? else { return Ok(None) };
        let place = || format!("partition {partition}, citizen number {ordinal}");
        let row = self
            .get(Table::Citizens, &key::citizen(partition, ordinal))?
            .ok_or_else(|| StoreError::Damaged(format!("{} is missing", place())))?;
        decode(Table::Citizens, &row, place).map(Some)
    }

    /// Counters of a partition.
    pub(super) fn partition(&self, partition: u16) -> Result<PartitionRow, StoreError> {
        match self.get(Table::Meta, &key::meta_partition(partition))? {
            Some(row) => decode(Table::Meta, &row, || format!("partition {partition}")),
            None => Ok(PartitionRow::default()),
        }
    }

    /// Walks the entries `from..tail` of the journal of `lane`, checking that none is missing
    /// and that each message's row has the checksum noted at acceptance.
    /// `visit` returns whether to go on.
    fn walk_journal(
        &self,
        (partition, lane): (u16, Lane),
        from: u64,
        tail: u64,
        mut visit: impl FnMut(u64, MessageId, &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let damaged = |sequence: u64, what: &str| {
            let text =
                format!("journal of partition {partition}, {lane:?}, entry {sequence}: {what}");
            StoreError::Damaged(text)
        };
        // The sequence has no gaps, so each key is known: cheaper than a range.
        for sequence in from..tail {
            let row = self
                .get(Table::Intake, &key::intake(partition, lane, sequence))?
                .ok_or_else(|| damaged(sequence, "the entry is missing"))?;
            let entry = IntakeRow::from_bytes(&row)
                .ok_or_else(|| damaged(sequence, "the row cannot be read"))?;
            let message = self
                .get(Table::Messages, &key::message(partition, entry.message))?
                .ok_or_else(|| damaged(sequence, "its message is missing"))?;
            if crc32fast::hash(&message) != entry.checksum {
                return Err(damaged(sequence, "its message does not match its checksum"));
            }
            if !visit(sequence, entry.message, &message)? {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn arrivals(
        &self,
        partition: PartitionId,
        lane: Lane,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Arrival>, StoreError> {
        let JournalRow { checkpoint, tail } = self.partition(partition.0)?.journals[lane];
        let from = from.max(checkpoint);
        let mut arrivals = Vec::new();
        if limit == 0 {
            return Ok(arrivals);
        }
        self.walk_journal((partition.0, lane), from, tail, |sequence, id, row| {
            let message: Message = decode(Table::Messages, row, || place(partition.0, id))?;
            let state = self.state(partition.0, &message)?;
            let citizen = self.citizen(partition.0, &message.fiscal_code)?;
            let done = state.status != MessageStatus::Accepted;
            arrivals.push(Arrival { sequence, message, citizen, done });
            Ok(arrivals.len() < limit)
        })?;
        Ok(arrivals)
    }

    /// Checks a journal of a partition and counts the messages whose turn is
    /// not yet taken.
    pub(super) fn journal(
        &self,
        partition: u16,
        lane: Lane,
        counters: &PartitionRow,
    ) -> Result<Journal, StoreError> {
        let mut unprocessed = 0;
        let JournalRow { checkpoint, tail } = counters.journals[lane];
        self.walk_journal((partition, lane), checkpoint, tail, |_, id, _| {
            let at = key::message(partition, id);
            let taken = match self.get(Table::States, &at)? {
                None => false,
                Some(row) => {
                    let state: MessageState = decode(Table::States, &row, || place(partition, id))?;
                    state.status != MessageStatus::Accepted
                }
            };
            unprocessed += u64::from(!taken);
            Ok(true)
        })?;
        Ok(Journal { checkpoint, tail, unprocessed })
    }

    pub(super) fn registry(&self) -> Result<Registry, StoreError> {
        let mut organizations: HashMap<OrganizationId, Organization> = HashMap::new();
        let mut registry = Registry::default();
        for row in self.registered(Registered::Organization) {
            let organization: Organization =
                decode(Table::Registry, &row?, || "an organisation".to_owned())?;
            organizations.insert(organization.id.clone(), organization.clone());
            registry.organizations.push(organization);
        }
        for row in self.registered(Registered::Service) {
            let service: ServiceRow = decode(Table::Registry, &row?, || "a service".to_owned())?;
            let owner = organizations.get(&service.organization).cloned().ok_or_else(|| {
                let id = &service.organization;
                StoreError::Damaged(format!("organisation {id}, which has a service, is missing"))
            })?;
            registry.services.push(Arc::new(service.into_service(owner)));
        }
        for row in self.registered(Registered::Key) {
            let key: ApiKey = decode(Table::Registry, &row?, || "a key".to_owned())?;
            registry.keys.push(key);
        }
        Ok(registry)
    }

    fn registered(
        &self,
        kind: Registered,
    ) -> impl Iterator<Item = Result<fjall::UserValue, StoreError>> {
        self.prefix(Table::Registry, &key::registered(kind, "")).map(|row| Ok(row?.1))
    }
}

/// How errors name a message's row.
pub(super) fn place(partition: u16, id: MessageId) -> String {
    format!("partition {partition}, message {id}")
}

/// Whether a delivery is in `except`; a set once it is long.
pub(super) enum Except {
    Few(Vec<(MessageId, Endpoint)>),
    Many(std::collections::HashSet<(MessageId, Endpoint)>),
}

impl Except {
    pub(super) fn new(list: Vec<(MessageId, Endpoint)>) -> Self {
        if list.len() <= 16 { Self::Few(list) } else { Self::Many(list.into_iter().collect()) }
    }

    pub(super) fn contains(&self, delivery: &(MessageId, Endpoint)) -> bool {
        match self {
            Self::Few(list) => list.contains(delivery),
            Self::Many(set) => set.contains(delivery),
        }
    }
}
