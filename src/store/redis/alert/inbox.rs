//! Alerts in an inbox: found by the runs of the inbox walk and by the index of
//! the citizen's block.

use araldo_actors::domain::alert::Alert;
use araldo_actors::domain::delivery::MessageState;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::inbox::InboxEntry;
use araldo_actors::domain::ledger::Mark;
use araldo_actors::domain::message::Message;
use araldo_actors::port::store::StoreError;

use super::INBOX;
use crate::store::ledger::{BLOCK, Publication, Shown};
use crate::store::published_state;
use crate::store::redis::RedisStore;
use crate::store::redis::inbox::{Owner, unmarked};
use crate::store::redis::{reply, row};

/// Rows of the index read at once.
const ROWS: usize = 1_024;

impl RedisStore {
    /// Where an alert was published in an inbox; none if it was not.
    pub(in crate::store::redis) async fn alert_publication(
        &self,
        (partition, ordinal): Owner,
        alert: MessageId,
    ) -> Result<Option<Publication>, StoreError> {
        let space = self.space(partition);
        let begin = ordinal - ordinal % BLOCK;
        let mut look = redis::cmd("ZRANGE");
        look.arg(space.ledger(alert, INBOX)).arg(ordinal).arg(begin).arg("BYSCORE").arg("REV");
        look.arg("LIMIT").arg(0).arg(1);
        let found = reply::members(self.read_one(space, look).await?, "a run")?;
        let Some(member) = found.into_iter().next() else { return Ok(None) };
        let piece = row::read_piece(&member, true)?;
        let is_member = piece.run.mark(ordinal) == Some(Mark::Delivered);
        Ok(piece.publication.filter(|_| is_member))
    }

    /// An alert as a message to `code`, with its entry; none if it is not in
    /// that inbox.
    pub(in crate::store::redis) async fn alert_item(
        &self,
        code: &FiscalCode,
        id: MessageId,
    ) -> Result<Option<(Message, InboxEntry)>, StoreError> {
        let Some(record) = self.alert_record(id).await? else { return Ok(None) };
        let Some(ordinal) = self.ordinal(code).await? else { return Ok(None) };
        let owner = (self.home(code), ordinal);
        let Some(publication) = self.alert_publication(owner, id).await? else { return Ok(None) };
        let marked = self.entry_at(owner, publication.sequence).await?;
        let entry = marked.unwrap_or_else(|| unmarked(id, &publication));
        Ok(Some((self.shown_to(code, &record.alert).await?, entry)))
    }

    /// An alert in the inbox of `code` as a message with its state.
    pub(in crate::store::redis) async fn alert_for(
        &self,
        code: &FiscalCode,
        id: MessageId,
    ) -> Result<Option<(Message, MessageState)>, StoreError> {
        let found = self.alert_item(code, id).await?;
        Ok(found
            .map(|(message, entry)| (message, published_state(entry.sequence, entry.published_at))))
    }

    /// The alert in an inbox entry, as a message to its citizen; none if there
    /// is no such alert.
    pub(in crate::store::redis) async fn alert_message(
        &self,
        code: &FiscalCode,
        id: MessageId,
    ) -> Result<Option<Message>, StoreError> {
        match self.alert_record(id).await? {
            Some(record) => self.shown_to(code, &record.alert).await.map(Some),
            None => Ok(None),
        }
    }

    async fn shown_to(&self, code: &FiscalCode, alert: &Alert) -> Result<Message, StoreError> {
        let citizen = self.resident(code).await?;
        let message = citizen.and_then(|(_, citizen)| alert.message_to(&citizen));
        message.ok_or_else(|| StoreError::Damaged(format!("alert {} has no text", alert.id)))
    }

    /// Alerts in the inbox of `code`, in the order of their ids, after `after`,
    /// with the state they show. Looks at every alert of the citizen's block,
    /// and keeps no more than the first `limit`.
    pub(in crate::store::redis) async fn addressed_alerts(
        &self,
        code: &FiscalCode,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<(MessageId, MessageState)>, StoreError> {
        let Some(ordinal) = self.ordinal(code).await? else { return Ok(Vec::new()) };
        let space = self.at_home(code);
        let mut found: Vec<(MessageId, MessageState)> = Vec::new();
        let mut from = "-inf".to_owned();
        loop {
            let mut look = redis::cmd("ZRANGE");
            look.arg(space.shown(ordinal)).arg(&from).arg("+inf").arg("BYSCORE");
            look.arg("LIMIT").arg(0).arg(ROWS).arg("WITHSCORES");
            let rows = reply::scored(self.read_one(space, look).await?, "alerts of an inbox")?;
            for (member, at) in &rows {
                let shown = Shown::read(*at, member, ordinal);
                let shown = shown.ok_or_else(|| reply::unexpected("alerts of an inbox"))?;
                let Shown { alert, publication, member } = shown;
                if member && after.is_none_or(|after| alert > after) {
                    let state = published_state(publication.sequence, publication.published_at);
                    found.push((alert, state));
                }
                from = format!("({at}");
            }
            found.sort_unstable_by_key(|(alert, _)| *alert);
            found.truncate(limit);
            if rows.len() < ROWS {
                return Ok(found);
            }
        }
    }
}
