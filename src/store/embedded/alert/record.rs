//! Records of alerts: accepted once, their status changed, listed.

use araldo_actors::domain::alert::{Alert, AlertRecord, AlertStatus};
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::alert_store::AlertAcceptance;
use araldo_actors::port::store::{IdempotencyClaim, StoreError};

use super::row;
use crate::store::claimed_id;
use crate::store::effect::Cell;
use crate::store::embedded::group::Group;
use crate::store::embedded::key;
use crate::store::embedded::overlay::Overlay;
use crate::store::embedded::row::{ClaimRow, decode, encode};
use crate::store::embedded::table::{Table, View};

/// A change of an alert's status.
pub(in crate::store::embedded) struct Change {
    pub(super) id: MessageId,
    /// Only from one of these.
    pub(super) from: Vec<AlertStatus>,
    pub(super) to: AlertStatus,
    pub(super) at: Millis,
}

fn read(id: MessageId, row: &[u8]) -> Result<AlertRecord, StoreError> {
    decode(Table::Alerts, row, || format!("alert {id}"))
}

fn missing(id: MessageId, whose: &str) -> StoreError {
    StoreError::Damaged(format!("alert {id}, {whose}, is missing"))
}

impl Group {
    /// Stores an alert as running, once per claim and id.
    pub(in crate::store::embedded) fn accept_alert(
        &mut self,
        mut alert: Alert,
        claim: Option<IdempotencyClaim>,
    ) -> Result<AlertAcceptance, StoreError> {
        if let Some(claim) = &claim {
            if let Some(held) = self.claim(&claim.scope)? {
                if held.body != claim.body {
                    return Ok(AlertAcceptance::KeyReused);
                }
                let record = self.alert(held.message)?;
                let record = record.ok_or_else(|| missing(held.message, "which has a claim"))?;
                return Ok(AlertAcceptance::Replayed(Box::new(record)));
            }
            alert.id = claimed_id(alert.accepted_at, claim);
        }
        let (id, at) = (alert.id, alert.accepted_at);
        if let Some(record) = self.alert(id)? {
            return Ok(AlertAcceptance::Replayed(Box::new(record)));
        }
        if let Some(claim) = claim {
            self.add_claim(claim.scope, ClaimRow { message: id, body: claim.body, at })?;
        }
        let record = AlertRecord {
            status: AlertStatus::Running,
            updated_at: at,
            ends: self.ends(),
            alert,
            cancelling_since: None,
        };
        self.put_alert(record.clone());
        Ok(AlertAcceptance::Accepted(Box::new(record)))
    }

    /// Changes the status of an alert; its record afterwards.
    pub(in crate::store::embedded) fn set_alert_status(
        &mut self,
        change: &Change,
    ) -> Result<Option<AlertRecord>, StoreError> {
        let Some(mut record) = self.alert(change.id)? else { return Ok(None) };
        if change.from.contains(&record.status) {
            record.status = change.to;
            record.updated_at = change.at;
            self.put_alert(record.clone());
        }
        Ok(Some(record))
    }

    /// Notes since when an alert is to be cancelled; its record afterwards.
    pub(in crate::store::embedded) fn cancel_alert(
        &mut self,
        id: MessageId,
        at: Millis,
    ) -> Result<Option<AlertRecord>, StoreError> {
        let Some(mut record) = self.alert(id)? else { return Ok(None) };
        if !record.status.is_final() && record.cancelling_since.is_none() {
            record.cancelling_since = Some(at);
            self.put_alert(record.clone());
        }
        Ok(Some(record))
    }

    fn alert(&mut self, id: MessageId) -> Result<Option<AlertRecord>, StoreError> {
        if let Some(known) = self.overlay.alerts.records.get(&id) {
            return Ok(known.as_ref().map(|cell| cell.value.clone()));
        }
        let found = self.tables.latest(Table::Alerts, &row::record(id))?;
        let record = found.map(|row| read(id, &row)).transpose()?;
        self.overlay.alerts.records.insert(id, record.clone().map(Cell::read));
        Ok(record)
    }

    fn put_alert(&mut self, record: AlertRecord) {
        self.overlay.alerts.records.insert(record.alert.id, Some(Cell::written(record)));
    }

    /// Whether there is an alert, without reading it.
    pub(super) fn has_alert(&self, id: MessageId) -> Result<bool, StoreError> {
        match self.overlay.alerts.records.get(&id) {
            Some(known) => Ok(known.is_some()),
            None => self.tables.has(Table::Alerts, &row::record(id)),
        }
    }

    /// Puts what the jobs changed of alerts into the batch.
    pub(in crate::store::embedded) fn write_alerts(
        &mut self,
        overlay: &mut Overlay,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        for (id, cell) in overlay.alerts.records.drain() {
            let Some(Cell { value, changed: true }) = cell else { continue };
            encode(Table::Alerts, &value, buffer)?;
            self.put(Table::Alerts, row::record(id).as_slice(), buffer.as_slice());
            if value.status.is_final() {
                self.remove(Table::Alerts, row::open(id).as_slice());
            } else {
                self.put(Table::Alerts, row::open(id).as_slice(), [].as_slice());
            }
        }
        self.write_walks(&mut overlay.alerts, buffer)
    }
}

impl View<'_> {
    /// What was said of `claim` when it was used before.
    pub(super) fn claimed_alert(
        &self,
        claim: &IdempotencyClaim,
    ) -> Result<Option<AlertAcceptance>, StoreError> {
        let Some(row) = self.get(Table::Claims, &key::claim(&claim.scope))? else {
            return Ok(None);
        };
        let held: ClaimRow = decode(Table::Claims, &row, || "a claim".to_owned())?;
        if held.body != claim.body {
            return Ok(Some(AlertAcceptance::KeyReused));
        }
        let record = self.alert(held.message)?;
        let record = record.ok_or_else(|| missing(held.message, "which has a claim"))?;
        Ok(Some(AlertAcceptance::Replayed(Box::new(record))))
    }

    pub(in crate::store::embedded) fn alert(
        &self,
        id: MessageId,
    ) -> Result<Option<AlertRecord>, StoreError> {
        let found = self.get(Table::Alerts, &row::record(id))?;
        found.map(|row| read(id, &row)).transpose()
    }

    /// Up to `limit` alerts before `before`, the newest first.
    pub(in crate::store::embedded) fn alerts(
        &self,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<AlertRecord>, StoreError> {
        let from = row::record(MessageId::from_bytes([0; 16]));
        let to = row::record(before.unwrap_or(MessageId::from_bytes([0xff; 16])));
        let rows = self.range(Table::Alerts, &from, &to).rev();
        let records = rows.map(|row| {
            let (at, row) = row?;
            read(row::alert_of(&at)?, &row)
        });
        let older = |record: &Result<AlertRecord, _>| match record {
            Ok(record) => Some(record.alert.id) != before,
            Err(_) => true,
        };
        records.filter(older).take(limit).collect()
    }

    /// Alerts that are running or paused, the oldest first.
    pub(super) fn open_alerts(&self) -> Result<Vec<AlertRecord>, StoreError> {
        let rows = self.prefix(Table::Alerts, &row::all_open());
        rows.map(|row| {
            let id = row::alert_of(&row?.0)?;
            let record = self.alert(id)?;
            record.ok_or_else(|| missing(id, "which is listed as running or paused"))
        })
        .collect()
    }
}
