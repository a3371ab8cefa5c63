//! Alerts, seen from outside: submit, look, pause, resume, cancel.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

use super::Engine;
use crate::alert::{MAX_OPEN, RunningAlert};
use crate::domain::alert::{Alert, AlertRecord, AlertStatus, AlertText, Audience};
use crate::domain::citizen::Language;
use crate::domain::id::MessageId;
use crate::domain::lane::Lane;
use crate::domain::notice::Notice;
use crate::domain::service::Service;
use crate::domain::time::Millis;
use crate::port::alert_store::{AlertAcceptance, AlertProgress};
use crate::port::store::{IdempotencyClaim, StoreError};

/// Between looks at the store for the end of an alert.
const SETTLED: Duration = Duration::from_secs(1);

/// An alert as a sender hands it in. Lengths and characters of the texts are
/// the caller's to check.
#[derive(Clone, Debug)]
pub struct AlertSubmission {
    /// The sender.
    pub service: Arc<Service>,
    /// No attempt starts at or after this instant.
    pub expires_at: Millis,
    /// Priority.
    pub lane: Lane,
    /// The text in each language.
    pub texts: BTreeMap<Language, AlertText>,
    /// The language of who prefers none of these; one of them.
    pub fallback: Language,
    /// Whom it is for.
    pub audience: Audience,
    /// Overrides the service's flag when present.
    pub require_secure_channels: Option<bool>,
    /// The claim of an `Idempotency-Key`, if one was sent.
    pub claim: Option<IdempotencyClaim>,
}

/// An alert that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmittedAlert {
    /// The alert and where it stands.
    pub record: AlertRecord,
    /// Whether the same request was accepted before.
    pub replayed: bool,
}

/// Why an alert was not accepted, by what the sender does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitAlertError {
    /// It cannot be right; the text says why.
    #[error("{0}")]
    Invalid(&'static str),
    /// Too many are under way; nothing was stored.
    #[error("{limit} alerts are under way, which is as many as there can be")]
    TooMany {
        /// How many there can be.
        limit: usize,
    },
    /// The `Idempotency-Key` was used with another body.
    #[error("the Idempotency-Key was used with another request body")]
    KeyReused,
    /// The store failed; after `Unconfirmed` a repetition under the same key
    /// settles the alert's fate.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the status of an alert was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlertError {
    /// There is no such alert.
    #[error("no such alert")]
    Unknown,
    /// Its present status does not allow it.
    #[error("the alert is {0:?}")]
    Refused(AlertStatus),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AlertSubmission {
    fn check(&self, now: Millis) -> Result<(), SubmitAlertError> {
        let invalid = |why| Err(SubmitAlertError::Invalid(why));
        if !self.texts.contains_key(&self.fallback) {
            return invalid("there is no text in the fallback language");
        }
        if matches!(&self.audience, Audience::Areas(areas) if areas.is_empty()) {
            return invalid("the audience names no area");
        }
        if self.expires_at <= now {
            return invalid("it has expired already");
        }
        Ok(())
    }
}

impl Engine {
    /// Accepts an alert: durable, and running, when this returns.
    ///
    /// # Errors
    /// [`SubmitAlertError`].
    pub async fn submit_alert(
        &self,
        submission: AlertSubmission,
    ) -> Result<SubmittedAlert, SubmitAlertError> {
        let now = self.0.clock.now();
        submission.check(now)?;
        if self.0.alerts.is_full() {
            return Err(SubmitAlertError::TooMany { limit: MAX_OPEN });
        }
        let alert = Alert {
            id: MessageId::new(now, self.0.rng.bits()),
            service: submission.service.id.clone(),
            accepted_at: now,
            expires_at: submission.expires_at,
            lane: submission.lane,
            texts: submission.texts,
            fallback: submission.fallback,
            audience: submission.audience,
            require_secure_channels: submission.require_secure_channels,
        };
        let (record, replayed) = match self.0.store.accept_alert(alert, submission.claim).await? {
            AlertAcceptance::Accepted(record) => (*record, false),
            AlertAcceptance::Replayed(record) => (*record, true),
            AlertAcceptance::KeyReused => return Err(SubmitAlertError::KeyReused),
        };
        // A replay, too: the first sender may have hung up in between.
        if !record.status.is_final() {
            self.0.alerts.adopt(record.clone());
            self.0.outbox.alert(record.alert.id);
        }
        Ok(SubmittedAlert { record, replayed })
    }

    /// The alert that the same request, under the same claim, made before. A
    /// request names the instant its alert expires: repeated later it may not
    /// pass the checks that it passed then, and must be answered all the same.
    ///
    /// # Errors
    /// As [`AlertStore::claimed_alert`](crate::port::alert_store::AlertStore::claimed_alert).
    pub async fn replayed_alert(
        &self,
        claim: IdempotencyClaim,
    ) -> Result<Option<SubmittedAlert>, StoreError> {
        Ok(match self.0.store.claimed_alert(claim).await? {
            Some(AlertAcceptance::Replayed(record)) => {
                Some(SubmittedAlert { record: *record, replayed: true })
            }
            Some(AlertAcceptance::Accepted(_) | AlertAcceptance::KeyReused) | None => None,
        })
    }

    /// An alert with where it stands.
    ///
    /// # Errors
    /// As [`AlertStore::alert`](crate::port::alert_store::AlertStore::alert).
    pub async fn alert(&self, id: MessageId) -> Result<Option<AlertRecord>, StoreError> {
        self.0.store.alert(id).await
    }

    /// Up to `limit` alerts accepted before `before`, the newest first.
    ///
    /// # Errors
    /// As [`AlertStore::alerts`](crate::port::alert_store::AlertStore::alerts).
    pub async fn alerts(
        &self,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<AlertRecord>, StoreError> {
        self.0.store.alerts(before, limit).await
    }

    /// How far an alert is.
    ///
    /// # Errors
    /// As [`AlertStore::alert_progress`](crate::port::alert_store::AlertStore::alert_progress).
    pub async fn alert_progress(&self, id: MessageId) -> Result<AlertProgress, StoreError> {
        self.0.store.alert_progress(id).await
    }

    /// Pauses a running alert. When this returns no attempt of it starts; what
    /// is under way ends as it would.
    ///
    /// # Errors
    /// [`AlertError`]; nothing was changed then, but for a store error.
    pub async fn pause_alert(&self, id: MessageId) -> Result<AlertRecord, AlertError> {
        self.switch_alert(id, AlertStatus::Running, AlertStatus::Paused).await
    }

    /// Lets a paused alert go on.
    ///
    /// # Errors
    /// [`AlertError`]; nothing was changed then, but for a store error.
    pub async fn resume_alert(&self, id: MessageId) -> Result<AlertRecord, AlertError> {
        self.switch_alert(id, AlertStatus::Paused, AlertStatus::Running).await
    }

    async fn switch_alert(
        &self,
        id: MessageId,
        from: AlertStatus,
        to: AlertStatus,
    ) -> Result<AlertRecord, AlertError> {
        let alert = self.open_alert(id).await?;
        let switched = self.0.alerts.switch(&alert, from, to, self.now()).await?;
        let record = switched.map_err(AlertError::Refused)?;
        self.tell(&[Notice::Alert { id }]).await?;
        Ok(record)
    }

    /// Cancels a running or paused alert. No attempt of it starts from the call
    /// on; it answers when that is durable and what waited has ended, which is
    /// soon unless attempts made again are under way (seconds). What else is
    /// under way ends as it would. Goes on if the caller gives up. On other nodes no attempt starts
    /// [`FRESH`](crate::cluster::gate::FRESH) after the store has it.
    ///
    /// # Errors
    /// [`AlertError`]; nothing was changed then, but for a store error.
    pub async fn cancel_alert(&self, id: MessageId) -> Result<AlertRecord, AlertError> {
        let (alert, now) = (self.open_alert(id).await?, self.now());
        let record = self.0.store.cancel_alert(id, now).await?.ok_or(AlertError::Unknown)?;
        if record.status.is_final() {
            return Err(AlertError::Refused(record.status));
        }
        let stopped = self.0.alerts.stop(&alert, AlertStatus::Cancelled, now);
        // Again when the others could not be told.
        self.0.outbox.alert(id);
        stopped.map_err(AlertError::Refused)?;
        self.tell(&[Notice::Alert { id }]).await?;
        while timeout(SETTLED, alert.settled()).await.is_err() {
            // Its end may have been stored by a node that cannot tell of it.
            self.0.alerts.follow(&alert).await?;
        }
        let record = self.0.store.alert(id).await?.ok_or(AlertError::Unknown)?;
        if record.status == AlertStatus::Cancelled {
            Ok(record)
        } else {
            Err(AlertError::Refused(record.status))
        }
    }

    /// The alert, if it is under way.
    async fn open_alert(&self, id: MessageId) -> Result<Arc<RunningAlert>, AlertError> {
        if let Some(alert) = self.0.alerts.get(id) {
            return Ok(alert);
        }
        let record = self.0.store.alert(id).await?.ok_or(AlertError::Unknown)?;
        if record.status.is_final() {
            return Err(AlertError::Refused(record.status));
        }
        if let Some(alert) = self.0.alerts.adopt(record) {
            return Ok(alert);
        }
        // It ended between the two looks.
        let record = self.0.store.alert(id).await?.ok_or(AlertError::Unknown)?;
        Err(AlertError::Refused(record.status))
    }
}
