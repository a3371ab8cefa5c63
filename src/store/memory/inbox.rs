//! The inbox of the reference store: what is shown, the order of events, marks.

use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::inbox::{
    InboxChange, InboxEntry, InboxEvent, InboxEvents, InboxItem, InboxRange, MarkChange,
};

use super::Partition;

impl Partition {
    /// A citizen's entries, the oldest first.
    fn entries(&self, code: &FiscalCode) -> impl Iterator<Item = InboxEntry> {
        let mine = self.inbox.iter().filter(|(owner, _)| owner == code);
        mine.map(|(_, entry)| *entry).collect::<Vec<_>>().into_iter()
    }

    fn item(&self, code: &FiscalCode, entry: InboxEntry) -> Option<InboxItem> {
        let message = match self.messages.get(&entry.message) {
            Some((message, _)) => message.clone(),
            None => self.alert_message(code, entry.message)?,
        };
        Some(InboxItem { entry, message })
    }

    pub(super) fn inbox(&self, code: &FiscalCode, range: &InboxRange) -> Vec<InboxItem> {
        let fitting = self.entries(code).filter(|entry| {
            range.after.is_none_or(|after| entry.sequence > after)
                && range.before.is_none_or(|before| entry.sequence < before)
                && range.archived.is_none_or(|archived| entry.marks.archived == archived)
        });
        let mut entries: Vec<_> = fitting.collect();
        if range.after.is_some() && range.before.is_none() {
            entries.truncate(range.limit);
            entries.reverse();
        } else {
            entries.reverse();
            entries.truncate(range.limit);
        }
        entries.into_iter().filter_map(|entry| self.item(code, entry)).collect()
    }

    pub(super) fn inbox_item(&self, code: &FiscalCode, id: MessageId) -> Option<InboxItem> {
        let entry = self.entries(code).find(|entry| entry.message == id)?;
        self.item(code, entry)
    }

    pub(super) fn events(
        &self,
        code: &FiscalCode,
        after: Option<u64>,
        limit: usize,
    ) -> InboxEvents {
        let mut events = Vec::new();
        for entry in self.entries(code) {
            let places =
                [(entry.sequence, InboxChange::Published), (entry.marked, InboxChange::Marked)];
            for (sequence, change) in places {
                if let (Some(item), true) =
                    (self.item(code, entry), after.is_some_and(|a| sequence > a))
                {
                    events.push(InboxEvent { sequence, change, item });
                }
            }
        }
        events.sort_by_key(|event| event.sequence);
        events.truncate(limit);
        InboxEvents { events, newest: self.events }
    }

    pub(super) fn mark(
        &mut self,
        code: &FiscalCode,
        id: MessageId,
        change: MarkChange,
    ) -> Option<InboxEntry> {
        let mut entries = self.inbox.iter_mut();
        let (_, entry) = entries.find(|(owner, entry)| owner == code && entry.message == id)?;
        let marks = entry.marks.after(change);
        if marks != entry.marks {
            self.events += 1;
            entry.marks = marks;
            entry.marked = self.events;
        }
        Some(*entry)
    }
}
