//! The inbox: what is shown, the order of events, and marks.
//!
//! An entry's row holds its marks and the place of their last change;
//! `changes` leads from that place to the entry. A change of marks takes the
//! next place of the partition and removes the row of the one before, so that
//! `changes` has at most one row for each entry and is never too old to answer
//! from: whoever asks for what came after a place gets every entry published
//! since, and every entry whose marks changed since.

use araldo_actors::domain::delivery::MessageState;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{MessageId, PartitionId};
use araldo_actors::domain::inbox::{
    InboxChange, InboxEntry, InboxEvent, InboxEvents, InboxItem, InboxRange, MarkChange,
};
use araldo_actors::domain::message::Message;
use araldo_actors::port::store::StoreError;

use super::group::Group;
use super::key::{self, InboxKey};
use super::read::place;
use super::row::{InboxRow, unreadable};
use super::table::{Table, View};

impl Group {
    /// Changes the marks of an entry.
    pub(super) fn mark(
        &mut self,
        code: &FiscalCode,
        id: MessageId,
        change: MarkChange,
    ) -> Result<Option<InboxEntry>, StoreError> {
        let partition = self.home(code);
        let Some(ordinal) = self.ordinal(code)? else { return Ok(None) };
        self.load_state(partition, id)?;
        let state = self.state(partition, id).map(|cell| cell.value.published);
        let Some(sequence) = state.filter(|&published| published > 0) else { return Ok(None) };
        let at = (partition, ordinal, sequence);
        self.load_entry(at)?;
        let place = self.partition(PartitionId(partition))?.events + 1;
        let Some(cell) = self.entry(at).filter(|cell| cell.value.message == id) else {
            return Ok(None);
        };
        let row = &mut cell.value;
        let marks = row.marks.after(change);
        if marks == row.marks {
            return Ok(Some(row.entry(sequence)));
        }
        let before = std::mem::replace(&mut row.marked, place);
        row.marks = marks;
        let entry = row.entry(sequence);
        cell.changed = true;
        self.partition_mut(partition).events = place;
        if before > 0 {
            self.set_change((partition, ordinal, before), None);
        }
        self.set_change((partition, ordinal, place), Some(sequence));
        Ok(Some(entry))
    }
}

fn damaged(partition: u16, sequence: u64, what: &str) -> StoreError {
    StoreError::Damaged(format!("inbox of partition {partition}, entry {sequence}: {what}"))
}

fn read(partition: u16, sequence: u64, row: &[u8]) -> Result<InboxEntry, StoreError> {
    let row = InboxRow::from_bytes(row);
    Ok(row.ok_or_else(|| damaged(partition, sequence, "the row cannot be read"))?.entry(sequence))
}

impl View<'_> {
    /// Entries of a citizen from place `from` to `to`, in order.
    fn entries(
        &self,
        (partition, ordinal): (u16, u32),
        from: u64,
        to: u64,
    ) -> impl DoubleEndedIterator<Item = Result<InboxEntry, StoreError>> {
        let (from, to) =
            (key::inbox((partition, ordinal, from)), key::inbox((partition, ordinal, to)));
        self.range(Table::Inbox, &from, &to).map(move |row| {
            let (at, row) = row?;
            let sequence = key::trailing_number(&at)
                .ok_or_else(|| unreadable(Table::Inbox, || format!("partition {partition}")))?;
            read(partition, sequence, &row)
        })
    }

    fn entry(&self, at: InboxKey) -> Result<Option<InboxEntry>, StoreError> {
        let found = self.get(Table::Inbox, &key::inbox(at))?;
        found.map(|row| read(at.0, at.2, &row)).transpose()
    }

    fn item(&self, partition: u16, entry: InboxEntry) -> Result<InboxItem, StoreError> {
        let message = self
            .message(partition, entry.message)?
            .ok_or_else(|| damaged(partition, entry.sequence, "its message is missing"))?;
        Ok(InboxItem { entry, message })
    }

    pub(super) fn inbox(
        &self,
        partition: u16,
        code: &FiscalCode,
        range: &InboxRange,
    ) -> Result<Vec<InboxItem>, StoreError> {
        let Some(ordinal) = self.ordinal(partition, code)? else { return Ok(Vec::new()) };
        let first = range.after.map_or(Some(0), |after| after.checked_add(1));
        let last = range.before.map_or(Some(u64::MAX), |before| before.checked_sub(1));
        let (Some(first), Some(last)) = (first, last) else { return Ok(Vec::new()) };
        if first > last {
            return Ok(Vec::new());
        }
        let entries = self.entries((partition, ordinal), first, last);
        // An entry that cannot be read is not passed over.
        let fits = |entry: &Result<InboxEntry, _>| match (entry, range.archived) {
            (Ok(entry), Some(archived)) => entry.marks.archived == archived,
            _ => true,
        };
        let item = |entry: Result<InboxEntry, _>| self.item(partition, entry?);
        let upward = range.after.is_some() && range.before.is_none();
        if upward {
            let mut items: Vec<InboxItem> =
                entries.filter(fits).take(range.limit).map(item).collect::<Result<_, _>>()?;
            items.reverse();
            Ok(items)
        } else {
            entries.rev().filter(fits).take(range.limit).map(item).collect()
        }
    }

    pub(super) fn inbox_item(
        &self,
        partition: u16,
        code: &FiscalCode,
        id: MessageId,
    ) -> Result<Option<InboxItem>, StoreError> {
        let Some(message) = self.message(partition, id)? else { return Ok(None) };
        if message.fiscal_code != *code {
            return Ok(None);
        }
        let sequence = self.state(partition, &message)?.published;
        if sequence == 0 {
            return Ok(None);
        }
        let ordinal = self.ordinal(partition, code)?;
        let entry =
            ordinal.map(|ordinal| self.entry((partition, ordinal, sequence))).transpose()?;
        match entry.flatten() {
            Some(entry) if entry.message == id => Ok(Some(InboxItem { entry, message })),
            _ => Err(damaged(partition, sequence, "it is missing, but its message was published")),
        }
    }

    pub(super) fn events(
        &self,
        partition: u16,
        code: &FiscalCode,
        after: Option<u64>,
        limit: usize,
    ) -> Result<InboxEvents, StoreError> {
        let newest = self.partition(partition)?.events;
        let none = InboxEvents { events: Vec::new(), newest };
        let Some(after) = after.filter(|&after| after < newest) else { return Ok(none) };
        let Some(ordinal) = self.ordinal(partition, code)? else { return Ok(none) };
        let owner = (partition, ordinal);
        let mut events = Vec::new();
        for entry in self.entries(owner, after + 1, newest).take(limit) {
            let entry = entry?;
            events.push((entry.sequence, InboxChange::Published, entry));
        }
        for entry in self.marked(owner, after + 1, newest).take(limit) {
            let entry = entry?;
            events.push((entry.marked, InboxChange::Marked, entry));
        }
        events.sort_unstable_by_key(|(sequence, _, _)| *sequence);
        events.truncate(limit);
        let events = events.into_iter().map(|(sequence, change, entry)| {
            Ok(InboxEvent { sequence, change, item: self.item(partition, entry)? })
        });
        Ok(InboxEvents { events: events.collect::<Result<_, StoreError>>()?, newest })
    }

    /// Entries whose marks last changed at places `from` to `to`, in the order
    /// of the changes.
    fn marked(
        &self,
        (partition, ordinal): (u16, u32),
        from: u64,
        to: u64,
    ) -> impl Iterator<Item = Result<InboxEntry, StoreError>> {
        let (from, to) =
            (key::inbox((partition, ordinal, from)), key::inbox((partition, ordinal, to)));
        self.range(Table::Changes, &from, &to).map(move |row| {
            let (at, row) = row?;
            let sequence = row.as_ref().try_into().ok().map(u64::from_be_bytes);
            let (Some(at), Some(sequence)) = (key::trailing_number(&at), sequence) else {
                return Err(unreadable(Table::Changes, || format!("partition {partition}")));
            };
            match self.entry((partition, ordinal, sequence))? {
                Some(entry) if entry.marked == at => Ok(entry),
                _ => {
                    let what = format!("it does not have the change of its marks at {at}");
                    Err(damaged(partition, sequence, &what))
                }
            }
        })
    }

    /// Messages addressed to a citizen, in the order of their ids.
    pub(super) fn addressed(
        &self,
        partition: u16,
        code: &FiscalCode,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<(Message, MessageState)>, StoreError> {
        self.addressed_ids(partition, code, after)
            .take(limit)
            .map(|id| {
                let id = id?;
                let message = self.message(partition, id)?.ok_or_else(|| {
                    let what = "it is missing, but listed with its recipient";
                    StoreError::Damaged(format!("{}: {what}", place(partition, id)))
                })?;
                let state = self.state(partition, &message)?;
                Ok((message, state))
            })
            .collect()
    }

    /// Ids of the messages addressed to a citizen, in order.
    pub(super) fn addressed_ids(
        &self,
        partition: u16,
        code: &FiscalCode,
        after: Option<MessageId>,
    ) -> impl Iterator<Item = Result<MessageId, StoreError>> {
        let lowest = MessageId::from_bytes([0; 16]);
        let highest = MessageId::from_bytes([0xff; 16]);
        let from = key::addressed(partition, code, after.unwrap_or(lowest));
        let to = key::addressed(partition, code, highest);
        let ids = self.range(Table::Addressed, &from, &to).map(move |row| {
            key::addressed_message(&row?.0)
                .ok_or_else(|| unreadable(Table::Addressed, || format!("partition {partition}")))
        });
        ids.filter(move |id| after.is_none() || id.as_ref().ok() != after.as_ref())
    }
}
