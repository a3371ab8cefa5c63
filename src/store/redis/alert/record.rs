//! Records of alerts: accepted once, their status changed, listed.

use araldo_actors::domain::alert::{Alert, AlertRecord, AlertStatus};
use araldo_actors::domain::id::{MessageId, PartitionId};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::alert_store::AlertAcceptance;
use araldo_actors::port::store::{IdempotencyClaim, StoreError};
use std::sync::PoisonError;

use crate::store::codec::{decode, encode};
use crate::store::redis::RedisStore;
use crate::store::redis::accept::{Claim, Kind, left_open};
use crate::store::redis::base::{TRIES, command, overtaken};
use crate::store::redis::batch::{Applied, Batch};
use crate::store::redis::reply;

/// Records read at once: each may be tens of KiB.
const AT_ONCE: usize = 32;

fn missing(id: MessageId, whose: &str) -> StoreError {
    StoreError::Damaged(format!("alert {id}, {whose}, is missing"))
}

fn row(record: &AlertRecord) -> Result<Vec<u8>, StoreError> {
    let mut row = Vec::new();
    encode("alerts", record, &mut row)?;
    Ok(row)
}

fn read(id: MessageId, row: &[u8]) -> Result<AlertRecord, StoreError> {
    decode("alerts", row, || format!("alert {id}"))
}

fn read_id(member: Vec<u8>) -> Result<MessageId, StoreError> {
    let id = member.try_into().map(MessageId::from_bytes);
    id.map_err(|_| reply::unexpected("the id of an alert"))
}

impl RedisStore {
    /// An alert's row, as stored.
    async fn alert_row(&self, id: MessageId) -> Result<Option<Vec<u8>>, StoreError> {
        let look = command("HGET", &self.all.alerts(), &[&id.to_bytes()]);
        reply::row(self.read_one(&self.all, look).await?, "an alert")
    }

    pub(in crate::store::redis) async fn alert_record(
        &self,
        id: MessageId,
    ) -> Result<Option<AlertRecord>, StoreError> {
        let found = self.alert_row(id).await?;
        found.map(|row| read(id, &row)).transpose()
    }

    /// Whether there is an alert. Alerts stay, so the answer yes is
    /// remembered.
    pub(in crate::store::redis) async fn has_alert(
        &self,
        id: MessageId,
    ) -> Result<bool, StoreError> {
        let known = || self.alerts_known.lock().unwrap_or_else(PoisonError::into_inner);
        if known().get(&id).is_some() {
            return Ok(true);
        }
        let look = command("HEXISTS", &self.all.alerts(), &[&id.to_bytes()]);
        let found = reply::count(self.read_one(&self.all, look).await?, "an alert")? == 1;
        if found {
            known().insert(id, ());
        }
        Ok(found)
    }

    pub(super) async fn accept_one(
        &self,
        mut alert: Alert,
        claim: Option<IdempotencyClaim>,
    ) -> Result<AlertAcceptance, StoreError> {
        let Some(claim) = claim else { return self.store_alert(alert).await };
        match self.claim(Kind::Alert, &claim, alert.accepted_at).await? {
            Claim::Other => Ok(AlertAcceptance::KeyReused),
            Claim::Done(id) => {
                self.confirm(&self.all).await?;
                let record = self.alert_record(id).await?;
                let record = record.ok_or_else(|| missing(id, "which has a claim"))?;
                Ok(AlertAcceptance::Replayed(Box::new(record)))
            }
            Claim::First { message: id, at } | Claim::Pending { message: id, at } => {
                // It lives as long as it was to live from then on.
                let lives = alert.expires_at.since(alert.accepted_at);
                (alert.id, alert.accepted_at, alert.expires_at) = (id, at, at.after(lives));
                let acceptance = self.store_alert(alert).await.map_err(left_open)?;
                self.claim_is_done(Kind::Alert, &claim, id, at);
                Ok(acceptance)
            }
        }
    }

    /// What was said of a claim when it was used before.
    pub(super) async fn claimed_before(
        &self,
        claim: &IdempotencyClaim,
    ) -> Result<Option<AlertAcceptance>, StoreError> {
        let (id, pending) = match self.claimed(Kind::Alert, claim).await? {
            None => return Ok(None),
            Some(Claim::Other) => return Ok(Some(AlertAcceptance::KeyReused)),
            Some(Claim::Done(id)) => (id, false),
            Some(Claim::First { message, .. } | Claim::Pending { message, .. }) => (message, true),
        };
        match self.alert_record(id).await? {
            Some(record) => {
                self.confirm(self.by_hash(&claim.scope)).await?;
                self.confirm(&self.all).await?;
                Ok(Some(AlertAcceptance::Replayed(Box::new(record))))
            }
            // Whoever made it got no further: it is still to be carried out.
            None if pending => Ok(None),
            None => Err(missing(id, "which has a claim")),
        }
    }

    /// Stores an alert as running, once.
    async fn store_alert(&self, alert: Alert) -> Result<AlertAcceptance, StoreError> {
        if let Some(record) = self.alert_record(alert.id).await? {
            self.confirm(&self.all).await?;
            return Ok(AlertAcceptance::Replayed(Box::new(record)));
        }
        // Whoever was registered before this is below these ordinals.
        let ends = self.everywhere(|space| self.next_ordinal(space)).await?;
        let (id, at) = (alert.id, alert.accepted_at);
        let record = AlertRecord {
            alert,
            status: AlertStatus::Running,
            updated_at: at,
            ends,
            cancelling_since: None,
        };
        let (field, row) = (id.to_bytes(), row(&record)?);
        let mut batch = Batch::new(&self.all);
        batch.check_field(&self.all.alerts(), &field, b"");
        batch.run("HSET", &self.all.alerts(), &[&field, &row]);
        batch.run("ZADD", &self.all.alert_ids(), &[b"0", &field]);
        batch.run("ZADD", &self.all.open_alerts(), &[b"0", &field]);
        let written = self.write(&self.all, batch.into_call()).await?;
        match Applied::read(reply::next(&mut written.values.into_iter()))? {
            Applied::Done(_) => Ok(AlertAcceptance::Accepted(Box::new(record))),
            _ => {
                let held = self.alert_record(id).await?;
                let held = held.ok_or_else(|| missing(id, "which was accepted just now"))?;
                let mine = written.repeated && held.alert == record.alert;
                let held = Box::new(held);
                Ok(if mine {
                    AlertAcceptance::Accepted(held)
                } else {
                    AlertAcceptance::Replayed(held)
                })
            }
        }
    }

    pub(super) async fn change_status(
        &self,
        id: MessageId,
        from: &[AlertStatus],
        to: AlertStatus,
        at: Millis,
    ) -> Result<Option<AlertRecord>, StoreError> {
        self.change(id, |record| {
            if from.contains(&record.status) {
                (record.status, record.updated_at) = (to, at);
            }
        })
        .await
    }

    /// Notes since when an alert is to be cancelled.
    pub(super) async fn note_cancel(
        &self,
        id: MessageId,
        at: Millis,
    ) -> Result<Option<AlertRecord>, StoreError> {
        self.change(id, |record| {
            if !record.status.is_final() {
                record.cancelling_since.get_or_insert(at);
            }
        })
        .await
    }

    /// Changes where an alert stands, from what is stored; its record afterwards.
    async fn change(
        &self,
        id: MessageId,
        mut alter: impl FnMut(&mut AlertRecord),
    ) -> Result<Option<AlertRecord>, StoreError> {
        let field = id.to_bytes();
        for _ in 0..TRIES {
            let Some(held) = self.alert_row(id).await? else { return Ok(None) };
            let mut record = read(id, &held)?;
            alter(&mut record);
            let changed = row(&record)?;
            if changed == held {
                self.confirm(&self.all).await?;
                return Ok(Some(record));
            }
            let mut batch = Batch::new(&self.all);
            batch.check_field(&self.all.alerts(), &field, &held);
            batch.run("HSET", &self.all.alerts(), &[&field, &changed]);
            if record.status.is_final() {
                batch.run("ZREM", &self.all.open_alerts(), &[&field]);
                batch.run("DEL", &self.all.closed(id), &[]);
            } else {
                batch.run("ZADD", &self.all.open_alerts(), &[b"0", &field]);
            }
            if let Applied::Done(_) = self.apply(&self.all, batch).await? {
                return Ok(Some(record));
            }
        }
        Err(overtaken())
    }

    /// Notes that a partition has nothing left of an alert; whether none has.
    pub(super) async fn close_partition(
        &self,
        id: MessageId,
        partition: PartitionId,
    ) -> Result<bool, StoreError> {
        let closed = self.all.closed(id);
        let mut batch = Batch::new(&self.all);
        // Not once it is final: nobody would remove the set any more.
        batch.check_member(&self.all.open_alerts(), &id.to_bytes(), 0);
        batch.run("SADD", &closed, &[&partition.0.to_be_bytes()]);
        if let Applied::Done(_) = self.apply(&self.all, batch).await? {
            let count = self.read_one(&self.all, command("SCARD", &closed, &[])).await?;
            return Ok(reply::count(count, "closed partitions")? >= u64::from(self.count()));
        }
        // Final, or there is none: an open one is listed in the same step.
        let is_final = self.alert_row(id).await?.is_some();
        self.confirm(&self.all).await?;
        Ok(is_final)
    }

    /// Records of alerts that are there.
    pub(super) async fn records(
        &self,
        ids: Vec<MessageId>,
    ) -> Result<Vec<AlertRecord>, StoreError> {
        let mut records = Vec::with_capacity(ids.len());
        for some in ids.chunks(AT_ONCE) {
            let fields: Vec<[u8; 16]> = some.iter().map(|id| id.to_bytes()).collect();
            let fields: Vec<&[u8]> = fields.iter().map(<[u8; 16]>::as_slice).collect();
            let look = command("HMGET", &self.all.alerts(), &fields);
            let rows = reply::rows(self.read_one(&self.all, look).await?, "alerts")?;
            for (id, row) in some.iter().zip(rows) {
                let row = row.ok_or_else(|| missing(*id, "which is listed"))?;
                records.push(read(*id, &row)?);
            }
        }
        Ok(records)
    }

    pub(super) async fn newest_alerts(
        &self,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<AlertRecord>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let from = before.map_or_else(|| b"+".to_vec(), |id| [b"(", &id.to_bytes()[..]].concat());
        let mut look = redis::cmd("ZRANGE");
        look.arg(self.all.alert_ids()).arg(from).arg("-").arg("BYLEX").arg("REV");
        look.arg("LIMIT").arg(0).arg(limit);
        let members = reply::members(self.read_one(&self.all, look).await?, "ids of alerts")?;
        let ids = members.into_iter().map(read_id).collect::<Result<Vec<_>, _>>()?;
        self.records(ids).await
    }

    /// Alerts that are running or paused, the oldest first.
    pub(super) async fn all_open_alerts(&self) -> Result<Vec<AlertRecord>, StoreError> {
        let mut ids: Vec<MessageId> = Vec::new();
        loop {
            let from = ids.last().map_or_else(
                || b"-".to_vec(),
                |id: &MessageId| [b"(", &id.to_bytes()[..]].concat(),
            );
            let mut look = redis::cmd("ZRANGE");
            look.arg(self.all.open_alerts()).arg(from).arg("+").arg("BYLEX");
            look.arg("LIMIT").arg(0).arg(AT_ONCE);
            let members = reply::members(self.read_one(&self.all, look).await?, "open alerts")?;
            let last = members.len() < AT_ONCE;
            for member in members {
                ids.push(read_id(member)?);
            }
            if last {
                break;
            }
        }
        let mut records = self.records(ids).await?;
        // Ended between the two reads.
        records.retain(|record| !record.status.is_final());
        Ok(records)
    }
}
