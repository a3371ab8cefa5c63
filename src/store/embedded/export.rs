//! All rows of the store, for another store to take in.
//!
//! Reads only. The rows come as they lie in their tables, one after the other;
//! nothing is collected. Blocks on the disk: never call from a runtime's worker.

use std::sync::Arc;

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::data_request::Erasure;
use araldo_actors::domain::delivery::MessageState;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{MessageId, RouteId};
use araldo_actors::domain::lane::{ByLane, Lane};
use araldo_actors::domain::message::Message;
use araldo_actors::port::store::StoreError;
use serde::de::DeserializeOwned;

use super::EmbeddedStore;
use super::alert::stored_walk;
use super::key::{self, DueKey};
use super::row::{ClaimRow, InboxRow, IntakeRow, decode, unreadable};
use super::shared::Shared;
use super::table::{Table, View};
use crate::store::ledger::Piece;
use crate::store::migrate::row::{Counters, Due, Entry, Row};

/// Takes rows; an error ends the reading.
pub(in crate::store) type Sink<'a> = dyn FnMut(Row) -> Result<(), StoreError> + 'a;

/// A store as a source of rows.
#[derive(Clone)]
pub(in crate::store) struct Source {
    shared: Arc<Shared>,
    partitions: u16,
}

impl EmbeddedStore {
    /// The store as a source of rows; nobody may write to it meanwhile.
    pub(in crate::store) fn source(&self) -> Source {
        Source { shared: Arc::clone(&self.shared), partitions: self.partitions }
    }
}

impl Source {
    pub(in crate::store) const fn partitions(&self) -> u16 {
        self.partitions
    }

    /// What names this state of the store: another one after every write.
    pub(in crate::store) fn fingerprint(&self) -> Result<String, StoreError> {
        let mut hasher = blake3::Hasher::new();
        for row in self.shared.tables.view().prefix(Table::Meta, &[]) {
            let (key, row) = row?;
            hasher.update(&(key.len() as u64).to_be_bytes()).update(&key).update(&row);
        }
        Ok(hasher.finalize().to_hex()[..32].to_owned())
    }

    /// Rows that all partitions share.
    pub(in crate::store) fn shared(&self, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        let view = self.shared.tables.view();
        for kind in 1..=3 {
            for row in view.prefix(Table::Registry, &[kind]) {
                let (key, row) = row?;
                sink(Row::Registered(key.to_vec(), row.to_vec()))?;
            }
        }
        let mut before = None;
        loop {
            // Records may be large: some at a time.
            let records = view.alerts(before, 64)?;
            let Some(last) = records.last() else { break };
            before = Some(last.alert.id);
            for record in records {
                sink(Row::Alert(Box::new(record)))?;
            }
        }
        for row in view.prefix(Table::Claims, &key::claim(&[0; 32])[..1]) {
            let (key, row) = row?;
            let place = || "a claim".to_owned();
            let scope = key.get(1..).and_then(|scope| scope.try_into().ok());
            let scope = scope.ok_or_else(|| unreadable(Table::Claims, place))?;
            let claim: ClaimRow = decode(Table::Claims, &row, place)?;
            let is_alert = view.alert(claim.message)?.is_some();
            sink(Row::Claim { scope, claim, is_alert })?;
        }
        for row in view.prefix(Table::Erasures, &key::erasures()) {
            let place = || "the record of an erasure".to_owned();
            let record: Erasure = decode(Table::Erasures, &row?.1, place)?;
            sink(Row::Erasure(record))?;
        }
        Ok(())
    }

    /// Rows of one partition.
    pub(in crate::store) fn partition(
        &self,
        partition: u16,
        sink: &mut Sink<'_>,
    ) -> Result<(), StoreError> {
        let view = self.shared.tables.view();
        let reading = Reading { routes: view.routes()?, view, partition };
        sink(Row::Counters(Box::new(reading.counters()?)))?;
        reading.citizens(sink)?;
        reading.messages(sink)?;
        reading.journals(sink)?;
        reading.due(sink)?;
        reading.inboxes(sink)?;
        reading.alerts(sink)
    }
}

/// Reading one partition.
struct Reading<'a> {
    view: View<'a>,
    partition: u16,
    routes: Vec<(RouteId, u16)>,
}

/// A part of a key as a number or code that must be there.
fn part<const N: usize>(key: &[u8], at: usize) -> Option<[u8; N]> {
    key.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn code(key: &[u8], at: usize) -> Option<FiscalCode> {
    FiscalCode::parse(std::str::from_utf8(&part::<16>(key, at)?).ok()?).ok()
}

impl Reading<'_> {
    fn damaged(&self, table: Table) -> StoreError {
        unreadable(table, || format!("partition {}", self.partition))
    }

    fn decode<T: DeserializeOwned>(&self, table: Table, row: &[u8]) -> Result<T, StoreError> {
        decode(table, row, || format!("partition {}", self.partition))
    }

    /// Gives each row of a table in this partition, key and value, to `take`,
    /// and what that makes of it to `sink`.
    fn each(
        &self,
        table: Table,
        sink: &mut Sink<'_>,
        take: impl Fn(&[u8], &[u8]) -> Result<Option<Row>, StoreError>,
    ) -> Result<(), StoreError> {
        for row in self.view.prefix(table, &self.partition.to_be_bytes()) {
            let (key, row) = row?;
            sink(take(&key, &row)?.ok_or_else(|| self.damaged(table))?)?;
        }
        Ok(())
    }

    fn counters(&self) -> Result<Counters, StoreError> {
        let row = self.view.partition(self.partition)?;
        let (mut checkpoints, mut tails) = (ByLane::default(), ByLane::default());
        for lane in Lane::ALL {
            checkpoints[lane] = row.journals[lane].checkpoint;
            tails[lane] = row.journals[lane].tail;
        }
        Ok(Counters {
            epoch: row.epoch,
            checkpoints,
            tails,
            events: row.events,
            next_ordinal: row.next_ordinal,
            books: row.books,
        })
    }

    fn citizens(&self, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        self.each(Table::Citizens, sink, |key, row| {
            let citizen: Citizen = self.decode(Table::Citizens, row)?;
            let ordinal = key::citizen_ordinal(key);
            Ok(ordinal.map(|ordinal| Row::Citizen(ordinal, Box::new(citizen))))
        })?;
        self.each(Table::CitizenIndex, sink, |key, row| {
            let read = || Some(Row::Ordinal(code(key, 2)?, u32::from_be_bytes(part(row, 0)?)));
            Ok(read())
        })
    }

    fn messages(&self, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        let id = |key: &[u8]| Some(MessageId::from_bytes(part(key, 2)?));
        self.each(Table::Messages, sink, |key, row| {
            Ok(id(key).map(|id| Row::Message(id, row.to_vec())))
        })?;
        self.each(Table::States, sink, |key, row| {
            let Some(id) = id(key) else { return Ok(None) };
            let state: MessageState = self.decode(Table::States, row)?;
            let is_published = state.published > 0;
            let ordinal = if is_published { self.recipient(id)? } else { None };
            Ok(Some(Row::State(id, Box::new(state), ordinal)))
        })?;
        self.each(Table::Addressed, sink, |key, _| {
            let read = || Some(Row::Addressed(code(key, 2)?, key::addressed_message(key)?));
            Ok(read())
        })
    }

    /// The ordinal of a message's recipient, if known.
    fn recipient(&self, id: MessageId) -> Result<Option<u32>, StoreError> {
        match self.view.message(self.partition, id)? {
            Some(message) => self.view.ordinal(self.partition, &message.fiscal_code),
            None => Ok(None),
        }
    }

    fn journals(&self, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        self.each(Table::Intake, sink, |key, row| {
            let lane = key.get(2).and_then(|lane| Lane::of_number(*lane));
            let sequence = key::trailing_number(key);
            let (Some(lane), Some(sequence), Some(IntakeRow { message, checksum })) =
                (lane, sequence, IntakeRow::from_bytes(row))
            else {
                return Ok(None);
            };
            let damaged = |what: &str| {
                let partition = self.partition;
                StoreError::Damaged(format!(
                    "journal of partition {partition}, {lane:?}, entry {sequence}: {what}"
                ))
            };
            let found = self.view.get(Table::Messages, &key::message(self.partition, message))?;
            let row = found.ok_or_else(|| damaged("its message is missing"))?.to_vec();
            if crc32fast::hash(&row) != checksum {
                return Err(damaged("its message does not match its checksum"));
            }
            let recipient = self.decode::<Message>(Table::Messages, &row)?.fiscal_code;
            let entry = Entry { lane, sequence, message, checksum, recipient, row };
            Ok(Some(Row::Entry(Box::new(entry))))
        })
    }

    fn due(&self, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        self.each(Table::Due, sink, |key, _| {
            let Some(at) = DueKey::from_bytes(key) else { return Ok(None) };
            let route = self.routes.iter().find(|(_, number)| *number == at.route);
            let ordinal = self.recipient(at.message)?;
            let (Some((route, _)), Some(ordinal)) = (route, ordinal) else { return Ok(None) };
            let DueKey { lane, due, published, message, endpoint, .. } = at;
            let route = route.clone();
            let due = Due { route, lane, due, published, message, endpoint, ordinal };
            Ok(Some(Row::Due(Box::new(due))))
        })
    }

    fn inboxes(&self, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        let at = |key: &[u8]| {
            Some((u32::from_be_bytes(part(key, 2)?), u64::from_be_bytes(part(key, 6)?)))
        };
        self.each(Table::Inbox, sink, |key, row| {
            let read = || {
                let (ordinal, sequence) = at(key)?;
                Some(Row::Inbox(ordinal, InboxRow::from_bytes(row)?.entry(sequence)))
            };
            Ok(read())
        })?;
        self.each(Table::Changes, sink, |key, row| {
            let read = || {
                let (ordinal, place) = at(key)?;
                Some(Row::Change { ordinal, place, entry: u64::from_be_bytes(part(row, 0)?) })
            };
            Ok(read())
        })
    }

    fn alerts(&self, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        let alert = |key: &[u8]| Some(MessageId::from_bytes(part(key, 2)?));
        let walk = |key: &[u8]| stored_walk(u16::from_be_bytes(part(key, 18)?), &self.routes);
        self.each(Table::Cursors, sink, |key, row| {
            let cursor = self.decode(Table::Cursors, row)?;
            let read = || Some(Row::Cursor(alert(key)?, walk(key)?, cursor));
            Ok(read())
        })?;
        self.each(Table::Ledger, sink, |key, row| {
            let read = || {
                let number = u16::from_be_bytes(part(key, 18)?);
                let first = u32::from_be_bytes(part(key, 20)?);
                Some(((self.partition, alert(key)?, number, first), walk(key)?))
            };
            let Some((at, walk)) = read() else { return Ok(None) };
            let piece = Piece::decode(at, row)?;
            Ok(Some(Row::Piece(at.1, walk, piece)))
        })?;
        self.each(Table::AlertOrder, sink, |key, row| {
            let read = || {
                let block = u32::from_be_bytes(part(key, 2)?);
                Some(Row::Shown(block, u64::from_be_bytes(part(key, 6)?), row.to_vec()))
            };
            Ok(read())
        })
    }
}
