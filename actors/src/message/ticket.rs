//! A ticket: the right and duty to attempt one delivery.
//!
//! Mailboxes lose what is in them when their actor ends. A ticket cannot be
//! lost that way: dropping it unfinished reports to its partition that no
//! attempt was made, and the delivery, still due in the store, is taken up
//! again. An attempt cut off in the middle counts as none: it is repeated
//! under the same id.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::directory::Directory;
use crate::domain::answer::Answer;
use crate::domain::citizen::Citizen;
use crate::domain::delivery::Endpoint;
use crate::domain::id::{AddressId, DeviceId, MessageId, RouteId};
use crate::domain::message::Message;
use crate::domain::notification::Notification;
use crate::domain::outcome::Outcome;

use crate::domain::time::Millis;
use crate::message::partition::PartitionMessage;
use crate::policy::turn::{self, Target};
use crate::supervise::Address;

/// Names a delivery within its partition.
pub type FlightKey = (MessageId, Endpoint);

/// The citizen as now stored, shared by all that is in flight to it: a
/// change of preference reaches every queued attempt at once.
#[derive(Debug, Default)]
pub struct CitizenCell(RwLock<Option<Arc<Citizen>>>);

impl CitizenCell {
    /// A cell holding `citizen`.
    pub fn new(citizen: Option<Citizen>) -> Self {
        Self(RwLock::new(citizen.map(Arc::new)))
    }

    /// The citizen as now stored.
    pub fn load(&self) -> Option<Arc<Citizen>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there is no such citizen (any more).
    pub fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// A device is gone: nothing queued is attempted on it.
    pub fn forget(&self, device: DeviceId) {
        if let Some(mut citizen) = self.load() {
            Arc::make_mut(&mut citizen).devices.retain(|known| known.id() != device);
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(citizen);
        }
    }

    /// An address was refused: nothing queued is sent to it.
    pub fn distrust(&self, address: AddressId) {
        if let Some(mut citizen) = self.load().filter(|known| known.address() == Some(address)) {
            Arc::make_mut(&mut citizen).email_validated = false;
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(citizen);
        }
    }

    /// Takes a change up.
    pub fn store(&self, citizen: Option<Citizen>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = citizen.map(Arc::new);
    }
}

/// The incarnation of the partition that a ticket came from.
#[derive(Clone)]
pub struct Home {
    /// Where its reports go.
    pub address: Address<PartitionMessage>,
    /// The incarnation that issued the ticket.
    pub generation: u64,
    /// The incarnation now living.
    pub current: Arc<AtomicU64>,
}

impl Home {
    fn is_current(&self) -> bool {
        self.current.load(Ordering::Acquire) == self.generation
    }
}

/// How a ticket ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The provider was asked; its answer.
    Answered(Answer),
    /// No attempt, for good: time or somebody's choice forbids it.
    Ended(Outcome),
    /// No attempt now; the delivery stays due.
    Returned,
}

/// What a ticket carries.
pub struct Errand {
    /// Which of the message's deliveries.
    pub endpoint: Endpoint,
    /// The message.
    pub message: Arc<Message>,
    /// Its route.
    pub route: RouteId,
    /// Attempts before this one.
    pub retries: u16,
    /// The citizen as now stored.
    pub citizen: Arc<CitizenCell>,
    /// The services as now registered.
    pub directory: Arc<Directory>,
    /// Who gets the report.
    pub home: Home,
}

/// See the module's text. The errand is gone once the ticket has ended.
pub struct Ticket {
    errand: Option<Box<Errand>>,
    /// What the answer will be about; known once the attempt is prepared.
    target: Option<Target>,
}

impl Ticket {
    /// Issues a ticket.
    pub fn new(errand: Errand) -> Self {
        Self { errand: Some(Box::new(errand)), target: None }
    }

    /// The errand, while the ticket has not ended.
    pub fn errand(&self) -> Option<&Errand> {
        self.errand.as_deref()
    }

    /// Prepares the attempt, which is about to start, from what the citizen
    /// and the operator want now (promise 3).
    ///
    /// # Errors
    /// How the ticket must end instead.
    pub fn prepare(&mut self, now: Millis) -> Result<Notification, End> {
        let Some(errand) = &self.errand else { return Err(End::Returned) };
        if !errand.home.is_current() {
            return Err(End::Returned);
        }
        let citizen = errand.citizen.load();
        let service = errand.directory.service(&errand.message.service);
        let message = &errand.message;
        let prepared =
            turn::prepare(message, errand.endpoint, citizen.as_deref(), service.as_ref(), now)
                .map_err(End::Ended)?;
        self.target = Some(prepared.target);
        Ok(prepared.notification)
    }

    /// Ends the ticket and reports.
    pub fn end(mut self, end: End) {
        self.report(end);
    }

    fn report(&mut self, end: End) {
        let Some(errand) = self.errand.take() else { return };
        let Errand { home, endpoint, message, route, retries, .. } = *errand;
        home.address.cast(PartitionMessage::Report(Report {
            generation: home.generation,
            message,
            endpoint,
            route,
            retries,
            target: self.target,
            end,
        }));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.report(End::Returned);
    }
}

/// What a partition hears of a ticket.
pub struct Report {
    /// The incarnation that issued the ticket.
    pub generation: u64,
    /// The message.
    pub message: Arc<Message>,
    /// Which of its deliveries.
    pub endpoint: Endpoint,
    /// The route it was given to.
    pub route: RouteId,
    /// Attempts before this one.
    pub retries: u16,
    /// What its answer is about; none when no attempt was prepared.
    pub target: Option<Target>,
    /// How it ended.
    pub end: End,
}
