//! A ticket: the right and duty to attempt one delivery, of a message (an
//! errand, reported by itself) or of an alert (a seat in a batch, which reports
//! as one).
//!
//! Mailboxes lose what is in them when their actor ends. A ticket cannot be
//! lost that way: dropping it unfinished reports to its partition that no
//! attempt was made, and the delivery, still due in the store, is taken up
//! again. An attempt cut off in the middle counts as none: it is repeated
//! under the same id.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::cluster::{Lease, Watch};
use crate::directory::Directory;
use crate::domain::answer::Answer;
use crate::domain::citizen::Citizen;
use crate::domain::delivery::Endpoint;
use crate::domain::id::{AddressId, DeviceId, MessageId, RouteId};
use crate::domain::lane::Lane;
use crate::domain::message::Message;
use crate::domain::notification::Notification;
use crate::domain::outcome::Outcome;

use crate::domain::time::Millis;
use crate::message::batch::{Arrived, Batch};
use crate::message::partition::PartitionMessage;
use crate::policy::turn::{self, Prepared, Target};
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
    /// Whether the partition is this process' to work on.
    pub lease: Arc<Lease>,
}

impl Home {
    /// Whether that incarnation still lives.
    pub fn is_current(&self) -> bool {
        self.current.load(Ordering::Acquire) == self.generation
    }

    /// Whether an attempt of its tickets may start.
    pub fn may_start(&self) -> bool {
        // In this order: the next generation is current before it is held.
        self.lease.holds() && self.is_current()
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
    /// Since when the delivery waits for this attempt.
    pub since: Millis,
    /// The citizen as now stored.
    pub citizen: Arc<CitizenCell>,
    /// The services as now registered.
    pub directory: Arc<Directory>,
    /// Who gets the report.
    pub home: Home,
}

/// What a ticket is for.
enum Work {
    /// A delivery of a message.
    Errand(Box<Errand>),
    /// A delivery of an alert, by its place in a batch.
    Seat(Arc<Batch>, usize),
}

/// See the module's text. Its work is gone once it has ended.
pub struct Ticket {
    work: Option<Work>,
    /// What the answer will be about; known once the attempt is prepared.
    target: Option<Target>,
}

impl Ticket {
    /// Issues a ticket.
    pub fn new(errand: Errand) -> Self {
        Self { work: Some(Work::Errand(Box::new(errand))), target: None }
    }

    /// The ticket of a delivery of a batch.
    pub(super) const fn of_batch(batch: Arc<Batch>, seat: usize) -> Self {
        Self { work: Some(Work::Seat(batch, seat)), target: None }
    }

    /// To hear of the end of its partition's lease; none if it has none.
    pub fn watch(&self) -> Option<Watch> {
        match &self.work {
            Some(Work::Errand(errand)) => errand.home.lease.watch(),
            Some(Work::Seat(batch, _)) => batch.home.lease.watch(),
            None => None,
        }
    }

    /// Its lane.
    pub fn lane(&self) -> Lane {
        match &self.work {
            Some(Work::Errand(errand)) => errand.message.lane,
            Some(Work::Seat(batch, _)) => batch.alert.alert.lane,
            None => Lane::Bulk,
        }
    }

    /// When its message was accepted, if it is for one citizen: an alert's
    /// deliveries are not measured from there.
    pub fn accepted_at(&self) -> Option<Millis> {
        match &self.work {
            Some(Work::Errand(errand)) => Some(errand.message.accepted_at),
            Some(Work::Seat(..)) | None => None,
        }
    }

    /// Since when its delivery waits: the acceptance of a message that was not
    /// tried before, else the moment it was handed to the route.
    pub fn waits_since(&self) -> Option<Millis> {
        match &self.work {
            Some(Work::Errand(errand)) => Some(errand.since),
            Some(Work::Seat(batch, _)) => Some(batch.left_at()),
            None => None,
        }
    }

    /// Whether it would end, or come back, without an attempt if its turn came
    /// at `now`.
    pub fn is_over(&self, now: Millis) -> bool {
        match &self.work {
            Some(Work::Errand(errand)) => {
                now >= errand.message.expires_at()
                    || errand.citizen.is_empty()
                    || !errand.home.may_start()
            }
            Some(Work::Seat(batch, seat)) => batch.is_over(*seat, now),
            None => true,
        }
    }

    /// Prepares the attempt, which is about to start, from what the citizen
    /// and the operator want now (promise 3).
    ///
    /// # Errors
    /// How the ticket must end instead.
    pub fn prepare(&mut self, now: Millis) -> Result<Notification, End> {
        let prepared = match &self.work {
            Some(Work::Errand(errand)) => errand.prepare(now)?,
            Some(Work::Seat(batch, seat)) => batch.prepare(*seat, now)?,
            None => return Err(End::Returned),
        };
        self.target = Some(prepared.target);
        Ok(prepared.notification)
    }

    /// Ends the ticket and reports.
    pub fn end(mut self, end: End) {
        self.report(end);
    }

    fn report(&mut self, end: End) {
        let target = self.target;
        match self.work.take() {
            Some(Work::Errand(errand)) => errand.report(target, end),
            Some(Work::Seat(batch, seat)) => batch.arrive(Arrived { seat, target, end }),
            None => {}
        }
    }
}

impl Errand {
    fn prepare(&self, now: Millis) -> Result<Prepared, End> {
        if !self.home.may_start() {
            return Err(End::Returned);
        }
        let citizen = self.citizen.load();
        let service = self.directory.service(&self.message.service);
        turn::prepare(&self.message, self.endpoint, citizen.as_deref(), service.as_ref(), now)
            .map_err(End::Ended)
    }

    fn report(self, target: Option<Target>, end: End) {
        let Self { home, endpoint, message, route, retries, .. } = self;
        home.address.cast(PartitionMessage::Report(Report {
            generation: home.generation,
            message,
            endpoint,
            route,
            retries,
            target,
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
