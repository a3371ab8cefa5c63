//! The inbox: what is shown, the order of events, and marks.
//!
//! An entry's row holds its marks and the place of their last change;
//! `changes` leads from that place to the entry. A change of marks takes the
//! next place of the partition and removes the row of the one before, so that
//! `changes` has at most one row for each entry and is never too old to answer
//! from: whoever asks for what came after a place gets every entry published
//! since, and every entry whose marks changed since.
//!
//! Alerts have no row here until their marks change (see `alert/inbox.rs`).

use araldo_actors::domain::delivery::MessageState;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{MessageId, PartitionId};
use araldo_actors::domain::inbox::{
    InboxChange, InboxEntry, InboxEvent, InboxEvents, InboxItem, InboxRange, MarkChange,
};
use araldo_actors::domain::message::Message;
use araldo_actors::port::store::StoreError;

use super::alert::{merged, unmarked};
use super::group::Group;
use super::key::{self, InboxKey};
use super::overlay::Cell;
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
        let Some(sequence) = self.load_published((partition, ordinal), id)? else {
            return Ok(None);
        };
        let at = (partition, ordinal, sequence);
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

    /// Makes the entry of a message or an alert available; its place, if it
    /// was published.
    fn load_published(
        &mut self,
        (partition, ordinal): (u16, u32),
        id: MessageId,
    ) -> Result<Option<u64>, StoreError> {
        self.load_state(partition, id)?;
        if let Some(sequence) = self.state(partition, id).map(|cell| cell.value.published) {
            self.load_entry((partition, ordinal, sequence))?;
            return Ok(Some(sequence).filter(|&published| published > 0));
        }
        let Some((sequence, published_at)) = self.alert_publication(partition, id, ordinal)? else {
            return Ok(None);
        };
        let at = (partition, ordinal, sequence);
        self.load_entry(at)?;
        if self.entry(at).is_none() {
            self.overlay.inbox.insert(at, Some(Cell::read(unmarked(id, published_at))));
        }
        Ok(Some(sequence))
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

    pub(super) fn entry(&self, at: InboxKey) -> Result<Option<InboxEntry>, StoreError> {
        let found = self.get(Table::Inbox, &key::inbox(at))?;
        found.map(|row| read(at.0, at.2, &row)).transpose()
    }

    fn item(
        &self,
        partition: u16,
        code: &FiscalCode,
        entry: InboxEntry,
    ) -> Result<InboxItem, StoreError> {
        let message = match self.message(partition, entry.message)? {
            Some(message) => Some(message),
            None => self.alert_message(partition, code, entry.message)?,
        };
        let message =
            message.ok_or_else(|| damaged(partition, entry.sequence, "its message is missing"))?;
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
        let owner = (partition, ordinal);
        let own = self.entries(owner, first, last);
        // Whoever put an alert into the archive has a row of it.
        let looked_for = range.archived != Some(true);
        let alerts = looked_for.then(|| self.shown(owner, first, last)).into_iter().flatten();
        // An entry that cannot be read is not passed over.
        let fits = |entry: &Result<InboxEntry, _>| match (entry, range.archived) {
            (Ok(entry), Some(archived)) => entry.marks.archived == archived,
            _ => true,
        };
        let item = |entry: Result<InboxEntry, _>| self.item(partition, code, entry?);
        let upward = range.after.is_some() && range.before.is_none();
        if upward {
            let entries = merged(own, alerts, true).filter(fits).take(range.limit);
            let mut items: Vec<InboxItem> = entries.map(item).collect::<Result<_, _>>()?;
            items.reverse();
            Ok(items)
        } else {
            let entries = merged(own.rev(), alerts.rev(), false).filter(fits).take(range.limit);
            entries.map(item).collect()
        }
    }

    pub(super) fn inbox_item(
        &self,
        partition: u16,
        code: &FiscalCode,
        id: MessageId,
    ) -> Result<Option<InboxItem>, StoreError> {
        let Some(message) = self.message(partition, id)? else {
            let found = self.alert_item(partition, code, id)?;
            return Ok(found.map(|(message, entry)| InboxItem { entry, message }));
        };
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
        let own = self.entries(owner, after + 1, newest);
        let alerts = self.shown(owner, after + 1, newest);
        for entry in merged(own, alerts, true).take(limit) {
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
            Ok(InboxEvent { sequence, change, item: self.item(partition, code, entry)? })
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

    /// Messages addressed to a citizen and alerts in the inbox, in the order of
    /// their ids.
    pub(super) fn addressed(
        &self,
        partition: u16,
        code: &FiscalCode,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<(Message, MessageState)>, StoreError> {
        let own = self.addressed_ids(partition, code, after).take(limit);
        let mut ids = own.map(|id| Ok((id?, None))).collect::<Result<Vec<_>, StoreError>>()?;
        let alerts = self.addressed_alerts(partition, code, after, limit)?;
        ids.extend(alerts.into_iter().map(|(id, state)| (id, Some(state))));
        ids.sort_unstable_by_key(|(id, _)| *id);
        ids.truncate(limit);
        let found = ids.into_iter().map(|(id, of_alert)| {
            let missing = || {
                let what = "it is missing, but listed with its recipient";
                StoreError::Damaged(format!("{}: {what}", place(partition, id)))
            };
            if let Some(state) = of_alert {
                let message = self.alert_message(partition, code, id)?;
                return Ok((message.ok_or_else(missing)?, state));
            }
            let message = self.message(partition, id)?.ok_or_else(missing)?;
            let state = self.state(partition, &message)?;
            Ok((message, state))
        });
        found.collect()
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
