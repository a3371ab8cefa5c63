//! Alerts in the reference store.
//!
//! An alert in an inbox is a row of its own there for every member, written
//! when the inbox walk comes by: what the others have to make of ledgers and
//! indexes can be seen here.

use async_trait::async_trait;
use std::collections::BTreeMap;

use araldo_actors::domain::alert::{Alert, AlertRecord, AlertStatus, Cursor, Walk};
use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::delivery::{Channel, MessageState};
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{MessageId, PartitionId};
use araldo_actors::domain::inbox::{InboxEntry, Marks};
use araldo_actors::domain::ledger::{Mark, Run, Straggler};
use araldo_actors::domain::message::Message;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::alert_store::{
    AlertAcceptance, AlertProgress, AlertStore, Visit, WalkTotals,
};
use araldo_actors::port::store::{IdempotencyClaim, StoreError};

use super::{Claimed, MemoryStore, Partition, State};
use crate::store::{claimed_id, published_state, stretch_end};

/// A walk that stored a step.
pub(super) struct Walked {
    pub(super) cursor: Cursor,
    /// In whose books it counts.
    pub(super) channel: Channel,
    runs: Vec<Run>,
}

impl Walked {
    fn mark(&self, ordinal: u32) -> Option<Mark> {
        let run = self.runs.iter().rev().find(|run| run.first <= ordinal)?;
        run.mark(ordinal)
    }
}

/// The ordinal of a place among the citizens.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

impl Partition {
    /// Applies a walk's step, if it was made from the stored cursor.
    pub(super) fn walk(&mut self, effect: Effect, at: Millis) {
        let Effect::Walked { alert, walk, channel, cursor, run, changed } = effect else { return };
        let key = (alert, walk);
        let revision = self.walks.get(&key).map_or(0, |walked| walked.cursor.revision);
        if !self.alerts.contains_key(&alert) || revision + 1 != cursor.revision {
            return;
        }
        if let Some(run) = run.as_ref().filter(|_| key.1 == Walk::Inbox) {
            self.publish(alert, run, at);
        }
        let begun = || Walked { cursor: Cursor::default(), channel, runs: Vec::new() };
        let walked = self.walks.entry(key).or_insert_with(begun);
        walked.cursor = cursor;
        walked.runs.extend(run.filter(|run| run.marks.iter().any(|mark| *mark != Mark::None)));
        for (ordinal, mark) in changed {
            if let Some(run) = walked.runs.iter_mut().rev().find(|run| run.first <= ordinal) {
                run.set(ordinal, mark);
            }
        }
    }

    fn publish(&mut self, alert: MessageId, run: &Run, at: Millis) {
        self.events += 1;
        let entry = InboxEntry {
            sequence: self.events,
            message: alert,
            published_at: at,
            marks: Marks::default(),
            marked: 0,
        };
        for (citizen, place) in self.citizens.iter().zip(0..) {
            if let Some(citizen) = citizen
                && run.mark(number(place)) == Some(Mark::Delivered)
            {
                self.inbox.push((citizen.fiscal_code, entry));
            }
        }
    }

    /// An alert as a message to a citizen.
    pub(super) fn alert_message(&self, code: &FiscalCode, id: MessageId) -> Option<Message> {
        self.alerts.get(&id)?.message_to(self.citizen(code)?)
    }

    /// An alert in a citizen's inbox as a message with its state.
    pub(super) fn alert_for(
        &self,
        code: &FiscalCode,
        id: MessageId,
    ) -> Option<(Message, MessageState)> {
        let mut mine = self.inbox.iter().filter(|(owner, _)| owner == code);
        let (_, entry) = mine.find(|(_, entry)| entry.message == id)?;
        let state = published_state(entry.sequence, entry.published_at);
        Some((self.alert_message(code, id)?, state))
    }

    /// Messages and alerts addressed to a citizen, by their ids.
    pub(super) fn addressed(
        &self,
        code: &FiscalCode,
        after: Option<MessageId>,
        limit: usize,
    ) -> Vec<(Message, MessageState)> {
        let mine = self.messages.values().filter(|(message, _)| message.fiscal_code == *code);
        let mut all: BTreeMap<MessageId, (Message, MessageState)> =
            mine.map(|found| (found.0.id, found.clone())).collect();
        let alerts = self.alerts.keys().filter_map(|id| Some((*id, self.alert_for(code, *id)?)));
        all.extend(alerts);
        let addressed = all.into_iter().filter(|(id, _)| after.is_none_or(|after| *id > after));
        addressed.take(limit).map(|(_, found)| found).collect()
    }

    fn visit(&self, from: u32, end: u32, limit: usize, members_of: Option<MessageId>) -> Visit {
        let walked = members_of.map(|alert| self.walks.get(&(alert, Walk::Inbox)));
        let mut end = stretch_end(from, end, limit);
        if let Some(walked) = walked {
            end = end.min(walked.map_or(0, |walked| walked.cursor.next)).max(from);
        }
        let mut citizens = Vec::new();
        for ordinal in from..end {
            let visited = walked.is_none_or(|walked| {
                walked.and_then(|walked| walked.mark(ordinal)) == Some(Mark::Delivered)
            });
            if let (true, Some(citizen)) = (visited, self.numbered(ordinal)) {
                citizens.push((ordinal, citizen.clone()));
                if citizens.len() == limit {
                    return Visit { citizens, next: ordinal + 1 };
                }
            }
        }
        Visit { citizens, next: end }
    }

    fn numbered(&self, ordinal: u32) -> Option<&Citizen> {
        self.citizens.get(usize::try_from(ordinal).ok()?)?.as_ref()
    }
}

impl State {
    fn claimed_alert(
        &self,
        claim: &IdempotencyClaim,
    ) -> Result<Option<AlertAcceptance>, StoreError> {
        let Some(held) = self.claims.get(&claim.scope) else { return Ok(None) };
        if held.body != claim.body {
            return Ok(Some(AlertAcceptance::KeyReused));
        }
        let what = format!("alert {}, which has a claim, is missing", held.message);
        let record = self.alerts.get(&held.message).cloned();
        let record = record.ok_or(StoreError::Damaged(what))?;
        Ok(Some(AlertAcceptance::Replayed(Box::new(record))))
    }

    fn accept_alert(
        &mut self,
        mut alert: Alert,
        claim: Option<IdempotencyClaim>,
    ) -> Result<AlertAcceptance, StoreError> {
        if let Some(claim) = &claim {
            if let Some(before) = self.claimed_alert(claim)? {
                return Ok(before);
            }
            alert.id = claimed_id(alert.accepted_at, claim);
        }
        let (id, at) = (alert.id, alert.accepted_at);
        if let Some(record) = self.alerts.get(&id) {
            return Ok(AlertAcceptance::Replayed(Box::new(record.clone())));
        }
        if let Some(claim) = claim {
            self.claims.insert(claim.scope, Claimed { message: id, body: claim.body, at });
        }
        let ends = self.partitions.iter().map(|one| number(one.citizens.len())).collect();
        for partition in &mut self.partitions {
            partition.alerts.insert(id, alert.clone());
        }
        let record = AlertRecord {
            alert,
            status: AlertStatus::Running,
            updated_at: at,
            ends,
            cancelling_since: None,
        };
        self.alerts.insert(id, record.clone());
        Ok(AlertAcceptance::Accepted(Box::new(record)))
    }

    fn progress(&self, alert: MessageId) -> AlertProgress {
        let mut walks: BTreeMap<Walk, WalkTotals> = BTreeMap::new();
        let Some(record) = self.alerts.get(&alert) else { return AlertProgress::default() };
        let end = record.ends.iter().map(|end| u64::from(*end)).sum();
        for ((id, walk), Walked { cursor, .. }) in
            self.partitions.iter().flat_map(|partition| &partition.walks)
        {
            if *id == alert {
                let totals = walks.entry(walk.clone()).or_default();
                totals.visited += u64::from(cursor.next);
                totals.end = end;
                totals.recipients += cursor.recipients;
                totals.deliveries += cursor.totals;
                totals.stragglers += cursor.stragglers.len() as u64;
            }
        }
        AlertProgress { walks: walks.into_iter().collect() }
    }
}

#[async_trait]
impl AlertStore for MemoryStore {
    async fn accept_alert(
        &self,
        alert: Alert,
        claim: Option<IdempotencyClaim>,
    ) -> Result<AlertAcceptance, StoreError> {
        self.lock().accept_alert(alert, claim)
    }

    async fn claimed_alert(
        &self,
        claim: IdempotencyClaim,
    ) -> Result<Option<AlertAcceptance>, StoreError> {
        self.lock().claimed_alert(&claim)
    }

    async fn set_alert_status(
        &self,
        id: MessageId,
        from: &[AlertStatus],
        to: AlertStatus,
        at: Millis,
    ) -> Result<Option<AlertRecord>, StoreError> {
        let mut state = self.lock();
        let Some(record) = state.alerts.get_mut(&id) else { return Ok(None) };
        if from.contains(&record.status) {
            record.status = to;
            record.updated_at = at;
        }
        let record = record.clone();
        if record.status.is_final() {
            state.closed.remove(&id);
        }
        Ok(Some(record))
    }

    async fn cancel_alert(
        &self,
        id: MessageId,
        at: Millis,
    ) -> Result<Option<AlertRecord>, StoreError> {
        let mut state = self.lock();
        let Some(record) = state.alerts.get_mut(&id) else { return Ok(None) };
        if !record.status.is_final() {
            record.cancelling_since.get_or_insert(at);
        }
        Ok(Some(record.clone()))
    }

    async fn close_alert(&self, id: MessageId, partition: PartitionId) -> Result<bool, StoreError> {
        let mut state = self.lock();
        state.partition(partition)?;
        let Some(record) = state.alerts.get(&id) else { return Ok(false) };
        if record.status.is_final() {
            return Ok(true);
        }
        let partitions = state.partitions.len();
        let closed = state.closed.entry(id).or_default();
        closed.insert(partition);
        Ok(closed.len() == partitions)
    }

    async fn alert(&self, id: MessageId) -> Result<Option<AlertRecord>, StoreError> {
        Ok(self.lock().alerts.get(&id).cloned())
    }

    async fn alerts(
        &self,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<AlertRecord>, StoreError> {
        let state = self.lock();
        let newest_first = state.alerts.values().rev();
        let older = newest_first.filter(|one| before.is_none_or(|before| one.alert.id < before));
        Ok(older.take(limit).cloned().collect())
    }

    async fn open_alerts(&self) -> Result<Vec<AlertRecord>, StoreError> {
        let state = self.lock();
        Ok(state.alerts.values().filter(|one| !one.status.is_final()).cloned().collect())
    }

    async fn cursors(
        &self,
        partition: PartitionId,
        alert: MessageId,
    ) -> Result<Vec<(Walk, Cursor)>, StoreError> {
        let mut state = self.lock();
        let walks = state.partition(partition)?.walks.iter();
        let cursors = walks.filter(|((id, _), _)| *id == alert);
        Ok(cursors.map(|((_, walk), one)| (walk.clone(), one.cursor.clone())).collect())
    }

    async fn alert_progress(&self, alert: MessageId) -> Result<AlertProgress, StoreError> {
        Ok(self.lock().progress(alert))
    }

    async fn visit(
        &self,
        partition: PartitionId,
        from: u32,
        end: u32,
        limit: usize,
        members_of: Option<MessageId>,
    ) -> Result<Visit, StoreError> {
        Ok(self.lock().partition(partition)?.visit(from, end, limit, members_of))
    }

    async fn straggling(
        &self,
        partition: PartitionId,
        stragglers: &[Straggler],
    ) -> Result<Vec<Option<Citizen>>, StoreError> {
        let mut state = self.lock();
        let partition = state.partition(partition)?;
        Ok(stragglers.iter().map(|one| partition.numbered(one.ordinal).cloned()).collect())
    }
}
