//! An alert under way: its status, which every attempt looks at, and its texts
//! as citizens see them, made once.
//!
//! What depends on the citizen or on the operator's present choice is decided
//! at each attempt; what is shown comes ready-made for each language. The
//! organisation's name is that of the moment the alert was taken up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use tokio::sync::watch;

use crate::domain::alert::{Alert, AlertRecord, AlertStatus, AlertText, Members};
use crate::domain::citizen::{Citizen, Language};
use crate::domain::delivery::Endpoint;
use crate::domain::email::Email;
use crate::domain::id::{AddressId, DeliveryId, PartitionId};
use crate::domain::notification::Notification;
use crate::domain::outcome::{Failure, Outcome, Suppression};
use crate::domain::push::{Notice, Push};
use crate::domain::service::Service;
use crate::domain::time::Millis;
use crate::policy::notice::{anonymous, shows};
use crate::policy::routing;
use crate::policy::turn::{self, Prepared, Target, Terms, Way};

/// See the module's text.
pub struct RunningAlert {
    /// The alert.
    pub alert: Alert,
    /// The ordinal its walks end at, for each partition.
    pub ends: Vec<u32>,
    /// Whom it is for.
    pub members: Members,
    status: AtomicU8,
    /// When it was stopped, in milliseconds.
    stopped_at: AtomicU64,
    /// By language of the text.
    full: BTreeMap<Language, Arc<Notice>>,
    /// By language of the citizen.
    anonymous: BTreeMap<Language, Arc<Notice>>,
    /// Held over a change of the status in the store, so that memory sees
    /// concurrent changes in the same order.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// Whether the final status is stored.
    settled: watch::Sender<bool>,
}

const STATUSES: [AlertStatus; 5] = [
    AlertStatus::Running,
    AlertStatus::Paused,
    AlertStatus::Completed,
    AlertStatus::Cancelled,
    AlertStatus::Expired,
];

const fn code(status: AlertStatus) -> u8 {
    status as u8
}

impl RunningAlert {
    /// Takes an alert up, of `service` as now registered.
    #[must_use]
    pub fn new(record: AlertRecord, service: Option<&Service>) -> Self {
        let AlertRecord { alert, status, ends, .. } = record;
        let title = service.map_or("", |service| &service.organization.name);
        let notice = |(language, text): (&Language, &AlertText)| {
            let (title, body) = (title.to_owned(), text.subject.clone());
            (*language, Arc::new(Notice { title, body, language: *language }))
        };
        let full = alert.texts.iter().map(notice).collect();
        let anonymous = Language::ALL.map(|language| (language, Arc::new(anonymous(language))));
        Self {
            status: AtomicU8::new(code(status)),
            stopped_at: AtomicU64::new(0),
            full,
            anonymous: anonymous.into_iter().collect(),
            changing: tokio::sync::Mutex::new(()),
            settled: watch::Sender::new(false),
            members: Members::from(&alert.audience),
            alert,
            ends,
        }
    }

    /// Where it stands: a stop shows here before it is stored.
    #[must_use]
    pub fn status(&self) -> AlertStatus {
        let code = self.status.load(Ordering::Acquire);
        STATUSES.get(usize::from(code)).copied().unwrap_or(AlertStatus::Paused)
    }

    /// Whether the store knows better than this.
    pub(super) fn differs(&self, stored: &AlertRecord) -> bool {
        let stops = stored.cancelling_since.is_some() && self.verdict().is_none();
        stops || (self.status() != stored.status && !self.status().is_final())
    }

    /// Takes over whether it is paused; a stop stays.
    pub(super) fn follow(&self, status: AlertStatus) {
        if !status.is_final() {
            let next = |now| (now <= code(AlertStatus::Paused)).then_some(code(status));
            // Nothing to do when it was stopped meanwhile.
            let _ = self.status.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        }
    }

    /// Stops it for good.
    pub(super) fn stop(&self, to: AlertStatus, at: Millis) -> Result<(), AlertStatus> {
        let next = |now| (now <= code(AlertStatus::Paused)).then_some(code(to));
        // The first stop counts, and is there before the status says so: a
        // second one must not put the end off.
        let _ = self.stopped_at.compare_exchange(0, at.0, Ordering::AcqRel, Ordering::Acquire);
        let stopped = self.status.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        stopped.map(|_| ()).map_err(|_| self.status())
    }

    /// When it was stopped.
    pub(crate) fn stopped_at(&self) -> Millis {
        Millis(self.stopped_at.load(Ordering::Acquire))
    }

    /// The final status is stored. What was stopped here stays so: deliveries
    /// that are still under way end by it.
    pub(super) fn settle(&self, status: AlertStatus) {
        let next = |now| (now <= code(AlertStatus::Paused)).then_some(code(status));
        // Nothing to do when it was stopped here.
        let _ = self.status.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        self.settled.send_replace(true);
    }

    /// Whether the final status is stored.
    pub(crate) fn is_settled(&self) -> bool {
        *self.settled.borrow()
    }

    /// Waits until the final status is stored.
    pub(crate) async fn settled(&self) {
        // Fails only when the sender is gone, which is this value.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;
    }

    /// The ordinal its walks end at in `partition`.
    pub(crate) fn end(&self, partition: PartitionId) -> u32 {
        self.ends.get(usize::from(partition.0)).copied().unwrap_or(0)
    }

    /// How a delivery ends that finds the alert stopped; none while it is not.
    pub(crate) fn verdict(&self) -> Option<Outcome> {
        match self.status() {
            AlertStatus::Running | AlertStatus::Paused | AlertStatus::Completed => None,
            AlertStatus::Cancelled => Some(Outcome::Cancelled),
            AlertStatus::Expired => Some(Outcome::Expired),
        }
    }

    const fn terms(&self) -> Terms {
        Terms {
            expires_at: self.alert.expires_at,
            require_secure_channels: self.alert.require_secure_channels,
        }
    }

    /// Prepares an attempt that is about to start, from what holds now, under
    /// the id `delivery`.
    ///
    /// # Errors
    /// The outcome that ends the delivery without an attempt.
    pub fn prepare(
        &self,
        endpoint: Endpoint,
        delivery: DeliveryId,
        citizen: Option<&Citizen>,
        service: Option<&Arc<Service>>,
        now: Millis,
    ) -> Result<Prepared, Outcome> {
        let terms = self.terms();
        let (citizen, way) =
            turn::consent(terms, endpoint, citizen, service.map(Arc::as_ref), now)?;
        let service = service.ok_or(Outcome::Suppressed(Suppression::ServiceDisabled))?;
        Ok(match way {
            Way::Device(device) => Prepared {
                target: Target::Device(device.registered_at),
                notification: Notification::Push(Push {
                    delivery,
                    message: self.alert.id,
                    platform: device.platform,
                    token: device.token.clone(),
                    notice: self.notice(citizen, service),
                    lane: self.alert.lane,
                    expires_at: terms.expires_at,
                }),
            },
            Way::Mailbox(address) => Prepared {
                target: Target::Mailbox(AddressId::of(address)),
                notification: self
                    .email(delivery, address, citizen, service)
                    .map(Notification::Email)
                    .ok_or(Outcome::Failed(Failure::RefusedContent))?,
            },
        })
    }

    /// What a push to `citizen` shows.
    fn notice(&self, citizen: &Citizen, service: &Service) -> Arc<Notice> {
        let secure = routing::needs_secure(self.alert.require_secure_channels, service);
        let made = if shows(citizen, secure) {
            self.full.get(&self.alert.language(citizen))
        } else {
            self.anonymous.get(&citizen.language())
        };
        made.map_or_else(|| Arc::new(anonymous(citizen.language())), Arc::clone)
    }

    /// A mail names its reader (the link that ends the subscription), so each
    /// has a message of its own.
    fn email(
        &self,
        delivery: DeliveryId,
        address: &str,
        citizen: &Citizen,
        service: &Arc<Service>,
    ) -> Option<Email> {
        Some(Email {
            delivery,
            to: address.to_owned(),
            language: self.alert.language(citizen),
            timezone: citizen.timezone.clone(),
            message: Arc::new(self.alert.message_to(citizen)?),
            service: Arc::clone(service),
            shared: true,
        })
    }
}
