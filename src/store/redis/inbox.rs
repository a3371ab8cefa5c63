//! The inbox: what is shown, the order of events, and marks.
//!
//! A citizen's own entries are a sorted set by place; the alerts come from the
//! index of the citizen's block of ordinals (see `alert/inbox.rs`). A page is
//! merged from both, each read some rows at a time and only as far as it shows.
//!
//! Changes of marks are a sorted set of entries by the place of their last
//! change: an entry is in it at most once. Marks are changed by any node, if the
//! entry is still the one that was read and the citizen was not erased.

use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::inbox::{
    InboxChange, InboxEntry, InboxEvent, InboxEvents, InboxItem, InboxRange, MarkChange, Marks,
};
use araldo_actors::domain::message::Message;
use araldo_actors::port::store::StoreError;
use std::collections::HashMap;

use super::RedisStore;
use super::base::{TRIES, command, overtaken};
use super::batch::{Applied, Batch, Place};
use super::{key, reply, row};
use crate::store::ledger::Publication;
use merge::Merge;

mod merge;

/// Whose inbox: partition and ordinal.
pub(super) type Owner = (u16, u32);

fn damaged(partition: u16, sequence: u64, what: &str) -> StoreError {
    StoreError::Damaged(format!("inbox of partition {partition}, entry {sequence}: {what}"))
}

/// An entry to be marked.
struct Marked {
    ordinal: u32,
    entry: InboxEntry,
    /// Its row; an alert whose marks never changed has none.
    member: Option<Vec<u8>>,
}

impl RedisStore {
    /// The row at a place of an inbox, as an entry.
    async fn row_at(
        &self,
        (partition, ordinal): Owner,
        sequence: u64,
    ) -> Result<Option<(InboxEntry, Vec<u8>)>, StoreError> {
        let space = self.space(partition);
        let mut look = redis::cmd("ZRANGE");
        look.arg(space.inbox(ordinal)).arg(sequence).arg(sequence).arg("BYSCORE");
        let found = reply::members(self.read_one(space, look).await?, "an inbox")?;
        let Some(member) = found.into_iter().next() else { return Ok(None) };
        Ok(Some((row::read_inbox(sequence, &member)?, member)))
    }

    /// The entry at a place of an inbox.
    pub(super) async fn entry_at(
        &self,
        owner: Owner,
        sequence: u64,
    ) -> Result<Option<InboxEntry>, StoreError> {
        Ok(self.row_at(owner, sequence).await?.map(|(entry, _)| entry))
    }

    /// Entries with their messages, in their order; none: another's message,
    /// which nobody else is shown.
    async fn items(
        &self,
        code: &FiscalCode,
        entries: Vec<InboxEntry>,
    ) -> Result<Vec<Option<InboxItem>>, StoreError> {
        let partition = self.home(code);
        let mut ids: Vec<MessageId> = entries.iter().map(|entry| entry.message).collect();
        ids.sort_unstable();
        ids.dedup();
        let own = self.stored_messages(partition, &ids).await?;
        let mut messages: HashMap<MessageId, Message> = HashMap::new();
        for (id, found) in ids.into_iter().zip(own) {
            let found = match found {
                Some((message, _)) => Some(message),
                None => self.alert_message(code, id).await?,
            };
            messages.extend(found.map(|message| (id, message)));
        }
        let item = |entry: InboxEntry| {
            let message = messages.get(&entry.message).cloned();
            let missing = || damaged(partition, entry.sequence, "its message is missing");
            let message = message.ok_or_else(missing)?;
            Ok((message.fiscal_code == *code).then_some(InboxItem { entry, message }))
        };
        entries.into_iter().map(item).collect()
    }

    pub(super) async fn inbox_page(
        &self,
        code: FiscalCode,
        range: InboxRange,
    ) -> Result<Vec<InboxItem>, StoreError> {
        let first = range.after.map_or(Some(0), |after| after.checked_add(1));
        let last = range.before.map_or(Some(u64::MAX), |before| before.checked_sub(1));
        let (Some(first), Some(last)) = (first, last) else { return Ok(Vec::new()) };
        if first > last || range.limit == 0 {
            return Ok(Vec::new());
        }
        let Some(ordinal) = self.ordinal(&code).await? else { return Ok(Vec::new()) };
        let upward = range.after.is_some() && range.before.is_none();
        // Whoever put an alert into the archive has a row of it.
        let alerts = range.archived != Some(true);
        let mut merge = Merge::new((self.home(&code), ordinal), (first, last), upward, alerts);
        let mut entries = Vec::new();
        while entries.len() < range.limit {
            let Some(entry) = merge.next(self, range.limit).await? else { break };
            if range.archived.is_none_or(|archived| entry.marks.archived == archived) {
                entries.push(entry);
            }
        }
        if upward {
            entries.reverse();
        }
        Ok(self.items(&code, entries).await?.into_iter().flatten().collect())
    }

    pub(super) async fn item_of(
        &self,
        code: FiscalCode,
        id: MessageId,
    ) -> Result<Option<InboxItem>, StoreError> {
        let partition = self.home(&code);
        let Some((message, held)) = self.stored_message(partition, id).await? else {
            let found = self.alert_item(&code, id).await?;
            return Ok(found.map(|(message, entry)| InboxItem { entry, message }));
        };
        let sequence = held.state.published;
        let (Some(ordinal), true) = (held.ordinal, message.fiscal_code == code) else {
            return Ok(None);
        };
        match self.entry_at((partition, ordinal), sequence).await? {
            Some(entry) if entry.message == id => Ok(Some(InboxItem { entry, message })),
            _ => Err(damaged(partition, sequence, "it is missing, but its message was published")),
        }
    }

    /// The newest place in the order of a partition.
    async fn newest(&self, partition: u16) -> Result<u64, StoreError> {
        let space = self.space(partition);
        let look = command("HGET", &space.counters(), &[b"events"]);
        Ok(reply::number(self.read_one(space, look).await?, "places")?.unwrap_or(0))
    }

    pub(super) async fn events_after(
        &self,
        code: FiscalCode,
        after: Option<u64>,
        limit: usize,
    ) -> Result<InboxEvents, StoreError> {
        let partition = self.home(&code);
        // Read first: everything up to this place is there from now on.
        let newest = self.newest(partition).await?;
        let none = InboxEvents { events: Vec::new(), newest };
        let Some(after) = after.filter(|&after| after < newest) else { return Ok(none) };
        let Some(ordinal) = self.ordinal(&code).await? else { return Ok(none) };
        if limit == 0 {
            return Ok(none);
        }
        let owner = (partition, ordinal);
        let mut found = Vec::new();
        let mut merge = Merge::new(owner, (after + 1, newest), true, true);
        while found.len() < limit {
            let Some(entry) = merge.next(self, limit).await? else { break };
            found.push((entry.sequence, InboxChange::Published, entry));
        }
        for entry in self.marked(owner, (after + 1, newest), limit).await? {
            found.push((entry.marked, InboxChange::Marked, entry));
        }
        found.sort_unstable_by_key(|(sequence, _, _)| *sequence);
        found.truncate(limit);
        let entries = found.iter().map(|(_, _, entry)| *entry).collect();
        let items = self.items(&code, entries).await?;
        let event = |((sequence, change, _), item): (_, Option<InboxItem>)| {
            item.map(|item| InboxEvent { sequence, change, item })
        };
        let events = found.into_iter().zip(items).filter_map(event).collect();
        Ok(InboxEvents { events, newest })
    }

    /// Entries whose marks last changed within a range of places, in the order
    /// of the changes.
    async fn marked(
        &self,
        (partition, ordinal): Owner,
        (from, to): (u64, u64),
        limit: usize,
    ) -> Result<Vec<InboxEntry>, StoreError> {
        let space = self.space(partition);
        let mut look = redis::cmd("ZRANGE");
        look.arg(space.changes(ordinal)).arg(from).arg(key::place(to)).arg("BYSCORE");
        look.arg("LIMIT").arg(0).arg(limit).arg("WITHSCORES");
        let changes = reply::scored(self.read_one(space, look).await?, "changes of marks")?;
        let mut entries = Vec::with_capacity(changes.len());
        for (entry, at) in changes {
            let sequence = entry.try_into().map(u64::from_be_bytes);
            let sequence = sequence.map_err(|_| reply::unexpected("changes of marks"))?;
            match self.entry_at((partition, ordinal), sequence).await? {
                // Marked again meanwhile: that change comes later.
                Some(entry) if entry.marked > at => {}
                Some(entry) if entry.marked == at => entries.push(entry),
                _ => {
                    let what = format!("it does not have the change of its marks at {at}");
                    return Err(damaged(partition, sequence, &what));
                }
            }
        }
        Ok(entries)
    }

    pub(super) async fn change_marks(
        &self,
        code: FiscalCode,
        id: MessageId,
        change: MarkChange,
    ) -> Result<Option<InboxEntry>, StoreError> {
        let space = self.at_home(&code);
        for _ in 0..TRIES {
            let Some(found) = self.find_entry(&code, id).await? else { return Ok(None) };
            let Marked { ordinal, entry, member } = found;
            let marks: Marks = entry.marks.after(change);
            if marks == entry.marks {
                self.confirm(space).await?;
                return Ok(Some(entry));
            }
            let (inbox, sequence) = (space.inbox(ordinal), entry.sequence);
            let mut batch = Batch::new(space);
            batch.take(1);
            // Erased meanwhile, nothing of the citizen may come back.
            batch.check_field(&space.index(), code.as_bytes(), &ordinal.to_be_bytes());
            match &member {
                Some(member) => {
                    batch.check_member(&inbox, member, sequence);
                    batch.run("ZREM", &inbox, &[member]);
                }
                None => batch.check_vacant(&inbox, sequence),
            }
            let row = row::inbox(entry.message, entry.published_at, marks);
            let score = sequence.to_string();
            batch.run_prefixed("ZADD", &inbox, &[score.as_bytes()], (Place::Taken(1), &row));
            batch.add_at(&space.changes(ordinal), Place::Taken(1), &sequence.to_be_bytes());
            if let Applied::Done(before) = self.apply(space, batch).await? {
                return Ok(Some(InboxEntry { marks, marked: before + 1, ..entry }));
            }
        }
        Err(overtaken())
    }

    /// The entry of a message or an alert in an inbox.
    async fn find_entry(
        &self,
        code: &FiscalCode,
        id: MessageId,
    ) -> Result<Option<Marked>, StoreError> {
        let partition = self.home(code);
        let Some((message, held)) = self.stored_message(partition, id).await? else {
            return self.find_alert_entry(code, id).await;
        };
        let (Some(ordinal), true) = (held.ordinal, message.fiscal_code == *code) else {
            return Ok(None);
        };
        let found = self.row_at((partition, ordinal), held.state.published).await?;
        Ok(found.filter(|(entry, _)| entry.message == id).map(|(entry, member)| Marked {
            ordinal,
            entry,
            member: Some(member),
        }))
    }

    async fn find_alert_entry(
        &self,
        code: &FiscalCode,
        id: MessageId,
    ) -> Result<Option<Marked>, StoreError> {
        let Some(ordinal) = self.ordinal(code).await? else { return Ok(None) };
        let owner = (self.home(code), ordinal);
        let Some(publication) = self.alert_publication(owner, id).await? else { return Ok(None) };
        let (entry, member) = match self.row_at(owner, publication.sequence).await? {
            Some((entry, member)) => (entry, Some(member)),
            None => (unmarked(id, &publication), None),
        };
        Ok(Some(Marked { ordinal, entry, member }))
    }
}

/// The entry of an alert whose marks never changed.
pub(super) fn unmarked(message: MessageId, publication: &Publication) -> InboxEntry {
    let Publication { sequence, published_at } = *publication;
    InboxEntry { sequence, message, published_at, marks: Marks::default(), marked: 0 }
}
