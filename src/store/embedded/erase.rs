//! Erasing a citizen: every row goes in one group commit.
//!
//! Everything is read first, from the tables alone (the job is the only one of
//! its group), and held as keys: a few dozen bytes for each message, so the
//! size of a citizen's inbox is what bounds it. Then the rows are removed with
//! the counters and books that go with them.
//!
//! What is removed can be read no more. The storage engine frees its bytes on
//! the disk later, when it merges the files they are in and drops the journal
//! that held them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use araldo_actors::domain::data_request::Erasure;
use araldo_actors::domain::delivery::{Channel, MessageState};
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{Epoch, MessageId, PartitionId, RouteId};
use araldo_actors::domain::lane::ByLane;
use araldo_actors::domain::message::MessageStatus;
use araldo_actors::port::store::{Backlog, Erased, StoreError};

use super::group::Group;
use super::index::Indexed;
use super::key::{self, DueKey};
use super::read::place;
use super::row::{IntakeRow, decode, encode, unreadable};
use super::step::waiting;
use super::table::{Table, View};
use crate::store::{of_another_partition, still_in_journal};

/// Whom to erase, and on whose behalf.
pub(super) struct Erase {
    pub(super) partition: PartitionId,
    pub(super) epoch: Epoch,
    pub(super) citizen: FiscalCode,
    pub(super) checkpoints: ByLane<u64>,
    pub(super) record: Erasure,
}

/// What a partition holds of a citizen and can be removed.
#[derive(Default)]
struct Holdings {
    ordinal: Option<u32>,
    indexed: Indexed,
    /// Messages whose turn was taken.
    messages: HashSet<MessageId>,
    /// Their deliveries that wait.
    due: Vec<DueKey>,
    pending: [u64; Channel::ALL.len()],
    cancelled: BTreeMap<RouteId, u64>,
    /// Keys of `inbox` and of `changes`.
    entries: Vec<fjall::UserKey>,
    changes: Vec<fjall::UserKey>,
}

impl Group {
    /// Removes every row of a citizen. Looks at the tables only: to be the one
    /// job of its group.
    pub(super) fn erase(&mut self, erase: Erase) -> Result<Erased, StoreError> {
        let Erase { partition: id, epoch, citizen, checkpoints, mut record } = erase;
        let counters = *self.partition(id)?;
        if counters.epoch != epoch.0 {
            return Err(StoreError::Fenced(id));
        }
        if self.home(&citizen) != id.0 {
            return Err(of_another_partition());
        }
        let tables = Arc::clone(&self.tables);
        let view = tables.view();
        let holdings = self.holdings(&view, id.0, &citizen)?;
        if view.journals_name(id.0, &checkpoints, &holdings.messages)? {
            return Err(still_in_journal());
        }
        record.messages = holdings.messages.len() as u64;
        if holdings.ordinal.is_some() || record.messages > 0 {
            let mut row = Vec::new();
            encode(Table::Erasures, &record, &mut row)?;
            let at = key::erasure(record.erased_at, &record.subject);
            self.put(Table::Erasures, at.as_slice(), row);
        }
        self.remove_holdings(id.0, &citizen, &holdings);
        self.remove_done(id.0, &counters.journals, &checkpoints, u64::MAX);
        let counters = self.partition_mut(id.0);
        for (totals, pending) in counters.books.deliveries.iter_mut().zip(holdings.pending) {
            totals.cancelled += pending;
        }
        let cancelled = holdings.cancelled.into_iter();
        Ok(Erased {
            messages: record.messages,
            cancelled: cancelled.map(|(route, pending)| Backlog { route, pending }).collect(),
        })
    }

    /// Reads what the partition holds of a citizen.
    fn holdings(
        &self,
        view: &View<'_>,
        partition: u16,
        code: &FiscalCode,
    ) -> Result<Holdings, StoreError> {
        let mut holdings = Holdings { ordinal: view.ordinal(partition, code)?, ..<_>::default() };
        if let Some(ordinal) = holdings.ordinal {
            if let Some(citizen) = view.citizen(partition, code)? {
                holdings.indexed = Indexed::of(&citizen);
            }
            let mine = key::citizen(partition, ordinal);
            let keys = |table| -> Result<Vec<fjall::UserKey>, StoreError> {
                view.prefix(table, &mine).map(|row| Ok(row?.0)).collect()
            };
            holdings.entries = keys(Table::Inbox)?;
            holdings.changes = keys(Table::Changes)?;
        }
        for id in view.addressed_ids(partition, code, None) {
            let id = id?;
            let at = key::message(partition, id);
            let Some(row) = view.get(Table::States, &at)? else { continue };
            let state: MessageState = decode(Table::States, &row, || place(partition, id))?;
            if state.status != MessageStatus::Accepted {
                self.hold(&mut holdings, partition, id, &state);
            }
        }
        Ok(holdings)
    }

    /// Notes a message, and its deliveries that wait.
    fn hold(&self, holdings: &mut Holdings, partition: u16, id: MessageId, state: &MessageState) {
        holdings.messages.insert(id);
        for delivery in state.deliveries.iter().filter(|one| one.status.due().is_some()) {
            holdings.pending[delivery.endpoint.channel().index()] += 1;
            let Some((endpoint, name, due)) = waiting(delivery) else { continue };
            if let Some(route) = self.known_route(&name) {
                let published = state.published;
                let (lane, message) = (state.lane, id);
                let entry = DueKey { partition, route, lane, due, published, message, endpoint };
                holdings.due.push(entry);
            }
            *holdings.cancelled.entry(name).or_default() += 1;
        }
    }

    fn remove_holdings(&mut self, partition: u16, code: &FiscalCode, holdings: &Holdings) {
        if let Some(ordinal) = holdings.ordinal {
            self.remove(Table::Citizens, key::citizen(partition, ordinal).as_slice());
            self.remove(Table::CitizenIndex, key::citizen_index(partition, code).as_slice());
        }
        if let Some(address) = holdings.indexed.address {
            self.remove(Table::Addresses, key::address(address).as_slice());
        }
        if let Some(due) = holdings.indexed.deletion {
            self.remove(Table::Erasures, key::deletion(due, code).as_slice());
        }
        for at in &holdings.entries {
            self.remove(Table::Inbox, at.clone());
        }
        for at in &holdings.changes {
            self.remove(Table::Changes, at.clone());
        }
        for entry in &holdings.due {
            self.remove(Table::Due, entry.to_bytes().as_slice());
        }
        for id in &holdings.messages {
            let at = key::message(partition, *id);
            self.remove(Table::Messages, at.as_slice());
            self.remove(Table::States, at.as_slice());
            self.remove(Table::Addressed, key::addressed(partition, code, *id).as_slice());
        }
    }
}

impl View<'_> {
    /// Whether a journal names one of `messages` from its checkpoint on.
    fn journals_name(
        &self,
        partition: u16,
        checkpoints: &ByLane<u64>,
        messages: &HashSet<MessageId>,
    ) -> Result<bool, StoreError> {
        if messages.is_empty() {
            return Ok(false);
        }
        for (lane, from) in checkpoints.iter() {
            let from = key::intake(partition, lane, *from);
            let to = key::intake(partition, lane, u64::MAX);
            for row in self.range(Table::Intake, &from, &to) {
                let damaged = || unreadable(Table::Intake, || format!("partition {partition}"));
                let entry = IntakeRow::from_bytes(&row?.1).ok_or_else(damaged)?;
                if messages.contains(&entry.message) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}
