//! Erasing a citizen: every row of the partition goes in one step.
//!
//! Everything is read first and held as ids: a few dozen bytes for each
//! message, so the size of a citizen's inbox is what bounds it. The row of a
//! validated address, in another partition, goes right after the step; it leads
//! to an ordinal that nobody has any more, and what a crash leaves of it is
//! removed when the partition is next taken over.

use araldo_actors::domain::books::Books;
use araldo_actors::domain::data_request::Erasure;
use araldo_actors::domain::delivery::MessageState;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{AddressId, Epoch, MessageId, PartitionId, RouteId};
use araldo_actors::domain::lane::ByLane;
use araldo_actors::domain::message::MessageStatus;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::{Backlog, Erased, StoreError};
use std::collections::{BTreeMap, HashSet};

use super::RedisStore;
use super::base::{TRIES, command, overtaken};
use super::batch::{Applied, Batch, Claimed};
use super::key::Space;
use super::link::went_back;
use super::row::{self, Holder};
use super::step::{check_tails, remove_passed};
use super::{key, reply};
use crate::store::codec::{decode, encode};
use crate::store::effect::{Waiting, waiting};
use crate::store::index::Indexed;
use crate::store::{of_another_partition, still_in_journal};

/// Messages and journal entries read at once.
const PAGE: usize = 256;
const ENTRIES: usize = 1_000;

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
    revision: u64,
    indexed: Indexed,
    /// Messages whose turn was taken.
    messages: HashSet<MessageId>,
    /// Their deliveries that wait, with the ordinals in their entries.
    due: Vec<(Waiting, u32)>,
    cancelled: BTreeMap<RouteId, u64>,
    books: Books,
}

impl Holdings {
    /// Notes a message, and its deliveries that wait.
    fn hold(&mut self, id: MessageId, state: &MessageState, ordinal: Option<u32>) {
        self.messages.insert(id);
        for delivery in state.deliveries.iter().filter(|one| one.status.due().is_some()) {
            self.books.channel(delivery.endpoint.channel()).cancelled += 1;
        }
        for waiting in waiting(id, state) {
            *self.cancelled.entry(waiting.route.clone()).or_default() += 1;
            self.due.extend(ordinal.map(|ordinal| (waiting, ordinal)));
        }
    }

    /// The row of the address, wherever it lies.
    fn given_up(&self, partition: u16) -> Option<(AddressId, Holder)> {
        let (ordinal, revision) = (self.ordinal?, self.revision);
        Some((self.indexed.address?, Holder { partition, ordinal, revision }))
    }
}

impl RedisStore {
    pub(super) async fn erase_citizen(&self, erase: Erase) -> Result<Erased, StoreError> {
        let Erase { partition: id, epoch, citizen, checkpoints, record } = erase;
        let space = self.check(id)?;
        let mut memory = self.owners[usize::from(id.0)].lock().await;
        for _ in 0..TRIES {
            let mut owned = self.owned(id, epoch, &mut memory).await?;
            if self.home(&citizen) != id.0 {
                return Err(of_another_partition());
            }
            let holdings = self.holdings(id.0, &citizen).await?;
            if self.journals_name(id.0, &checkpoints, &holdings.messages).await? {
                return Err(still_in_journal());
            }
            let passed = self.passed(id.0, &mut owned, &checkpoints, u64::MAX).await?;
            let claimed = Claimed { token: self.token(epoch), step: owned.step };
            let mut batch = Batch::step(space, claimed);
            check_tails(space, &mut batch, &owned);
            remove_holdings(space, &citizen, &holdings, &mut batch);
            let messages = holdings.messages.len() as u64;
            if holdings.ordinal.is_some() || messages > 0 {
                add_record(space, &mut batch, Erasure { messages, ..record })?;
            }
            let given_up = holdings.given_up(id.0);
            if let Some((address, holder)) = given_up {
                batch.run("SADD", &space.loose(), &[&row::loose(address, holder)]);
            }
            owned.books += holdings.books;
            let mut books = Vec::new();
            encode("books", &owned.books, &mut books)?;
            batch.run("HSET", &space.counters(), &[b"books", &books]);
            remove_passed(space, &mut batch, &passed);
            match self.apply_step(space, batch, owned.run).await? {
                Applied::Conflict => {}
                Applied::OutOfStep if owned.is_new => {}
                Applied::OutOfStep | Applied::WentBack => return Err(went_back()),
                Applied::Fenced => return Err(StoreError::Fenced(id)),
                Applied::Done(_) => {
                    memory.stepped(owned.step + 1)?;
                    drop(memory);
                    self.release(id.0, given_up.as_slice()).await;
                    let cancelled = holdings.cancelled.into_iter();
                    let cancelled = cancelled.map(|(route, pending)| Backlog { route, pending });
                    return Ok(Erased { messages, cancelled: cancelled.collect() });
                }
            }
        }
        Err(overtaken())
    }

    /// Reads what the partition holds of a citizen.
    async fn holdings(&self, partition: u16, code: &FiscalCode) -> Result<Holdings, StoreError> {
        let mut holdings = Holdings::default();
        if let Some((ordinal, citizen)) = self.resident(code).await? {
            holdings.ordinal = Some(ordinal);
            holdings.revision = citizen.revision;
            holdings.indexed = Indexed::of(&citizen);
        }
        let mut after = None;
        loop {
            let ids = self.addressed_ids(code, after, PAGE).await?;
            let found = self.stored_messages(partition, &ids).await?;
            for (id, found) in ids.iter().zip(found) {
                if let Some((_, held)) = found
                    && held.state.status != MessageStatus::Accepted
                {
                    holdings.hold(*id, &held.state, held.ordinal);
                }
            }
            if ids.len() < PAGE {
                return Ok(holdings);
            }
            after = ids.last().copied();
        }
    }

    /// Whether a journal names one of `messages` from its checkpoint on.
    async fn journals_name(
        &self,
        partition: u16,
        checkpoints: &ByLane<u64>,
        messages: &HashSet<MessageId>,
    ) -> Result<bool, StoreError> {
        if messages.is_empty() {
            return Ok(false);
        }
        let space = self.space(partition);
        for (lane, from) in checkpoints.iter() {
            let mut start = format!("{}-0", from.saturating_add(1));
            loop {
                let mut look = redis::cmd("XRANGE");
                look.arg(space.journal(lane)).arg(&start).arg("+").arg("COUNT").arg(ENTRIES);
                let what = "entries of a journal";
                let rows = reply::list(self.read_one(space, look).await?, what)?;
                let count = rows.len();
                for row in rows {
                    let mut parts = reply::list(row, what)?.into_iter();
                    let id = reply::row(reply::next(&mut parts), what)?;
                    let fields = reply::members(reply::next(&mut parts), what)?;
                    let entry = fields.get(1).and_then(|entry| row::read_entry(entry));
                    let (message, _) = entry.ok_or_else(|| reply::unexpected(what))?;
                    if messages.contains(&message) {
                        return Ok(true);
                    }
                    let id = id.and_then(|id| String::from_utf8(id).ok());
                    start = format!("({}", id.ok_or_else(|| reply::unexpected(what))?);
                }
                if count < ENTRIES {
                    break;
                }
            }
        }
        Ok(false)
    }

    /// Citizens to be erased by `until`, the oldest request first.
    pub(super) async fn due_for_erasure(
        &self,
        until: Millis,
        limit: usize,
    ) -> Result<Vec<FiscalCode>, StoreError> {
        let what = "a pending request";
        let look = |space: &Space| {
            let mut look = redis::cmd("ZRANGE");
            look.arg(space.deletions()).arg("-inf").arg(key::score(until)).arg("BYSCORE");
            look.arg("LIMIT").arg(0).arg(limit).arg("WITHSCORES");
            look
        };
        let found = self
            .everywhere(|space| async move {
                if limit == 0 {
                    return Ok(Vec::new());
                }
                reply::scored(self.read_one(space, look(space)).await?, what)
            })
            .await?;
        let mut due = Vec::new();
        for (code, at) in found.into_iter().flatten() {
            let code =
                std::str::from_utf8(&code).ok().and_then(|code| FiscalCode::parse(code).ok());
            due.push((at, code.ok_or_else(|| reply::unexpected(what))?));
        }
        due.sort_unstable();
        due.truncate(limit);
        Ok(due.into_iter().map(|(_, code)| code).collect())
    }

    /// Records of erased citizens, the newest first.
    pub(super) async fn erased(&self, limit: usize) -> Result<Vec<Erasure>, StoreError> {
        let what = "the record of an erasure";
        let found = self
            .everywhere(|space| async move {
                if limit == 0 {
                    return Ok(Vec::new());
                }
                let mut look = redis::cmd("ZRANGE");
                look.arg(space.erasures_by_time()).arg(0).arg(limit - 1).arg("REV");
                let newest = reply::members(self.read_one(space, look).await?, what)?;
                if newest.is_empty() {
                    return Ok(newest);
                }
                let fields: Vec<&[u8]> = newest.iter().map(Vec::as_slice).collect();
                let look = command("HMGET", &space.erasures(), &fields);
                reply::members(self.read_one(space, look).await?, what)
            })
            .await?;
        let mut records = Vec::new();
        for row in found.into_iter().flatten() {
            let record: Erasure = decode("erasures", &row, || what.to_owned())?;
            records.push(record);
        }
        records.sort_unstable_by_key(|record| (record.erased_at, record.subject));
        records.reverse();
        records.truncate(limit);
        Ok(records)
    }
}

/// Field and row of a record that somebody was erased.
pub(super) fn record_row(record: &Erasure) -> Result<(Vec<u8>, Vec<u8>), StoreError> {
    let mut row = Vec::new();
    encode("erasures", record, &mut row)?;
    Ok(([record.erased_at.0.to_be_bytes().as_slice(), &record.subject].concat(), row))
}

/// Keeps the record that somebody was erased.
fn add_record(space: &Space, batch: &mut Batch, record: Erasure) -> Result<(), StoreError> {
    let (at, row) = record_row(&record)?;
    let score = key::score(record.erased_at);
    batch.run("HSET", &space.erasures(), &[&at, &row]);
    batch.run("ZADD", &space.erasures_by_time(), &[score.as_bytes(), &at]);
    Ok(())
}

fn remove_holdings(space: &Space, code: &FiscalCode, holdings: &Holdings, batch: &mut Batch) {
    if let Some(ordinal) = holdings.ordinal {
        let number = ordinal.to_be_bytes();
        batch.check_field(&space.citizens(), &number, &holdings.revision.to_be_bytes());
        batch.run("HDEL", &space.citizens(), &[&number]);
        batch.run("HDEL", &space.index(), &[code.as_bytes()]);
        // Freed by another thread of the server: it may be long.
        batch.run("UNLINK", &space.inbox(ordinal), &[]);
        batch.run("UNLINK", &space.changes(ordinal), &[]);
    } else {
        batch.check_field(&space.index(), code.as_bytes(), b"");
    }
    if holdings.indexed.deletion.is_some() {
        batch.run("ZREM", &space.deletions(), &[code.as_bytes()]);
    }
    for (waiting, ordinal) in &holdings.due {
        let member = row::due(waiting.message, waiting.endpoint, *ordinal);
        let member = [waiting.published.to_be_bytes().as_slice(), &member].concat();
        batch.run("ZREM", &space.due(&waiting.route, waiting.lane), &[&member]);
    }
    let ids: Vec<[u8; 16]> = holdings.messages.iter().map(|id| id.to_bytes()).collect();
    let ids: Vec<&[u8]> = ids.iter().map(<[u8; 16]>::as_slice).collect();
    batch.run_many("HDEL", &space.messages(), 1, &ids);
    batch.run_many("HDEL", &space.states(), 1, &ids);
    batch.run_many("ZREM", &space.addressed(code), 1, &ids);
}
