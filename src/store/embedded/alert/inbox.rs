//! Alerts in an inbox: found by place, merged with the citizen's own rows.
//!
//! The index holds, for each block of ordinals and place in the order of the
//! partition, which alert was published there and who of the block is a member.
//! An inbox reads it in the order it shows, and only as far as it shows. An
//! alert none of whose members is in a block has no row there.
//!
//! Marks are kept where those of messages are: the first change of marks
//! copies the entry into a row of `inbox` at the same place. From then on the
//! merge takes the row and drops what the index says.

use std::cmp::Ordering;
use std::iter::{self, Peekable};

use araldo_actors::domain::alert::Alert;
use araldo_actors::domain::delivery::MessageState;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::inbox::{InboxEntry, Marks};
use araldo_actors::domain::ledger::{Mark, Run};
use araldo_actors::domain::message::Message;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::StoreError;

use super::row::{self, INBOX, Publication, Shown, damaged, split};
use crate::store::embedded::row::{InboxRow, unreadable};
use crate::store::embedded::table::{Table, View};
use crate::store::published_state;

/// Entries of an inbox, or why one cannot be read.
type Entry = Result<InboxEntry, StoreError>;

impl Publication {
    /// The entry of an alert whose marks never changed.
    fn entry(self, message: MessageId) -> InboxEntry {
        let Self { sequence, published_at } = self;
        unmarked(message, published_at).entry(sequence)
    }
}

/// The row of an alert in an inbox, before its marks change.
pub(in crate::store::embedded) fn unmarked(message: MessageId, published_at: Millis) -> InboxRow {
    InboxRow { message, published_at, marked: 0, marks: Marks::default() }
}

/// What is published in an inbox, in the order of `forward`: rows of its own,
/// and the alerts its citizen is a member of.
pub(in crate::store::embedded) fn merged(
    own: impl Iterator<Item = Entry>,
    alerts: impl Iterator<Item = Result<Shown, StoreError>>,
    forward: bool,
) -> impl Iterator<Item = Entry> {
    let (mut own, mut alerts) = (own.peekable(), alerts.peekable());
    iter::from_fn(move || {
        loop {
            match next_of(&mut own, &mut alerts, forward)? {
                Next::Own => return own.next(),
                // Its marks changed: the row says all that the index says.
                Next::Both => drop(alerts.next()),
                Next::Alert => match alerts.next()? {
                    Ok(shown) if shown.member => {
                        return Some(Ok(shown.publication.entry(shown.alert)));
                    }
                    Ok(_) => {}
                    Err(error) => return Some(Err(error)),
                },
            }
        }
    })
}

/// Which of two sources has the next entry.
enum Next {
    Own,
    Alert,
    Both,
}

fn next_of<O, A>(own: &mut Peekable<O>, alerts: &mut Peekable<A>, forward: bool) -> Option<Next>
where
    O: Iterator<Item = Entry>,
    A: Iterator<Item = Result<Shown, StoreError>>,
{
    Some(match (own.peek(), alerts.peek()) {
        (None, None) => return None,
        (Some(Ok(entry)), Some(Ok(shown))) => {
            let order = entry.sequence.cmp(&shown.publication.sequence);
            match if forward { order } else { order.reverse() } {
                Ordering::Less => Next::Own,
                Ordering::Greater => Next::Alert,
                Ordering::Equal => Next::Both,
            }
        }
        // What cannot be read comes first.
        (Some(Err(_)), _) | (Some(_), None) => Next::Own,
        (_, Some(_)) => Next::Alert,
    })
}

impl View<'_> {
    /// Alerts with members in the block of a citizen, published from place
    /// `from` to `to`, in order; and whether the citizen is one of them.
    pub(in crate::store::embedded) fn shown(
        &self,
        (partition, ordinal): (u16, u32),
        from: u64,
        to: u64,
    ) -> impl DoubleEndedIterator<Item = Result<Shown, StoreError>> {
        let from = row::shown(partition, ordinal, from);
        let to = row::shown(partition, ordinal, to);
        self.range(Table::AlertOrder, &from, &to).map(move |row| {
            let (at, row) = row?;
            let place = || format!("partition {partition}, block {}", ordinal / row::BLOCK);
            Shown::read(&at, &row, ordinal).ok_or_else(|| unreadable(Table::AlertOrder, place))
        })
    }

    /// The entry of an alert in the inbox of a citizen; none if it is not
    /// there. Its marks are not looked up.
    fn shown_at(
        &self,
        (partition, ordinal): (u16, u32),
        alert: MessageId,
    ) -> Result<Option<InboxEntry>, StoreError> {
        let begin = ordinal - ordinal % row::BLOCK;
        let from = row::piece((partition, alert, INBOX, begin));
        let to = row::piece((partition, alert, INBOX, ordinal));
        let Some(found) = self.range(Table::Ledger, &from, &to).next_back() else {
            return Ok(None);
        };
        let (at, row) = found?;
        let place = (partition, alert, INBOX, row::piece_first(&at).unwrap_or(begin));
        let (publication, run) = split(place, &row)?;
        let mark = Run::find(place.3, run, ordinal).ok_or_else(|| damaged(place))?;
        let publication = publication.filter(|_| mark == Some(Mark::Delivered));
        Ok(publication.map(|one| one.entry(alert)))
    }

    /// The entry of an alert in an inbox, with its marks.
    pub(in crate::store::embedded) fn alert_entry(
        &self,
        owner: (u16, u32),
        alert: MessageId,
    ) -> Result<Option<InboxEntry>, StoreError> {
        let Some(entry) = self.shown_at(owner, alert)? else { return Ok(None) };
        let marked = self.entry((owner.0, owner.1, entry.sequence))?;
        Ok(Some(marked.unwrap_or(entry)))
    }

    /// An alert as a message to `code`, with its entry; none if it is not in
    /// that inbox.
    pub(in crate::store::embedded) fn alert_item(
        &self,
        partition: u16,
        code: &FiscalCode,
        id: MessageId,
    ) -> Result<Option<(Message, InboxEntry)>, StoreError> {
        let Some(record) = self.alert(id)? else { return Ok(None) };
        let Some(ordinal) = self.ordinal(partition, code)? else { return Ok(None) };
        let Some(entry) = self.alert_entry((partition, ordinal), id)? else { return Ok(None) };
        let message = self.shown_to(partition, code, &record.alert)?;
        Ok(Some((message, entry)))
    }

    /// An alert in the inbox of `code` as a message with its state.
    pub(in crate::store::embedded) fn alert_for(
        &self,
        partition: u16,
        code: &FiscalCode,
        id: MessageId,
    ) -> Result<Option<(Message, MessageState)>, StoreError> {
        let found = self.alert_item(partition, code, id)?;
        Ok(found
            .map(|(message, entry)| (message, published_state(entry.sequence, entry.published_at))))
    }

    /// The alert in an inbox entry, as a message to its citizen; none if there
    /// is no such alert.
    pub(in crate::store::embedded) fn alert_message(
        &self,
        partition: u16,
        code: &FiscalCode,
        id: MessageId,
    ) -> Result<Option<Message>, StoreError> {
        let record = self.alert(id)?;
        record.map(|record| self.shown_to(partition, code, &record.alert)).transpose()
    }

    fn shown_to(
        &self,
        partition: u16,
        code: &FiscalCode,
        alert: &Alert,
    ) -> Result<Message, StoreError> {
        let citizen = self.citizen(partition, code)?;
        let message = citizen.and_then(|citizen| alert.message_to(&citizen));
        message.ok_or_else(|| StoreError::Damaged(format!("alert {} has no text", alert.id)))
    }

    /// Alerts in the inbox of `code`, in the order of their ids, after `after`,
    /// with the state they show.
    pub(in crate::store::embedded) fn addressed_alerts(
        &self,
        partition: u16,
        code: &FiscalCode,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<(MessageId, MessageState)>, StoreError> {
        let Some(ordinal) = self.ordinal(partition, code)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for shown in self.shown((partition, ordinal), 0, u64::MAX) {
            let Shown { alert, publication, member } = shown?;
            if member && after.is_none_or(|after| alert > after) {
                let state = published_state(publication.sequence, publication.published_at);
                found.push((alert, state));
            }
        }
        found.sort_unstable_by_key(|(alert, _)| *alert);
        found.truncate(limit);
        Ok(found)
    }
}
