//! A batch: deliveries of an alert that leave a partition for a route
//! together and come back as one.
//!
//! Each delivery has a ticket, so that it queues in its lane and cannot be
//! lost; its result is put down here, and only the last one to come back sends
//! the partition a message. A citizen's record is held once for all routes
//! ([`Cohort`]) and replaced when it changes: every attempt is made from what
//! the citizen wants when it starts.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::alert::RunningAlert;
use crate::directory::Directory;
use crate::domain::alert::AlertStatus;
use crate::domain::citizen::Citizen;
use crate::domain::delivery::Endpoint;
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::id::PartitionId;
use crate::domain::time::Millis;
use crate::message::partition::PartitionMessage;
use crate::message::ticket::{End, Home, Ticket};
use crate::policy::turn::{Prepared, Target};

/// A citizen whom a walk came by.
pub struct Passenger {
    /// Place in the partition.
    pub ordinal: u32,
    /// Who.
    pub code: FiscalCode,
    record: Mutex<Option<Citizen>>,
}

impl Passenger {
    /// A citizen as now stored.
    pub const fn new(ordinal: u32, citizen: Citizen) -> Self {
        Self { ordinal, code: citizen.fiscal_code, record: Mutex::new(Some(citizen)) }
    }

    /// The citizen as now stored; none once erased.
    pub fn record(&self) -> MutexGuard<'_, Option<Citizen>> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Citizens visited in one step, in the order of their ordinals.
pub struct Cohort {
    /// The first ordinal looked at.
    pub from: u32,
    /// The first ordinal not looked at.
    pub next: u32,
    /// Who was there.
    pub passengers: Vec<Passenger>,
}

impl Cohort {
    /// The passenger called `code`. Ordinals are in order, codes are not: a
    /// look at each, which is cheap beside a change of a record.
    pub fn find(&self, code: FiscalCode) -> impl Iterator<Item = &Passenger> {
        self.passengers.iter().filter(move |one| one.code == code)
    }
}

/// A delivery of a batch.
pub struct Seat {
    /// Place among the passengers of the cohort.
    pub passenger: usize,
    /// Where it goes.
    pub endpoint: Endpoint,
}

/// How a delivery came back.
pub struct Arrived {
    /// Place in the batch.
    pub seat: usize,
    /// What its answer is about; none when no attempt was prepared.
    pub target: Option<Target>,
    /// How it ended.
    pub end: End,
}

/// See the module's text.
pub struct Batch {
    /// The alert.
    pub alert: Arc<RunningAlert>,
    /// Where its citizens are at home.
    pub partition: PartitionId,
    /// Whom it goes to.
    pub cohort: Arc<Cohort>,
    /// Its deliveries.
    pub seats: Vec<Seat>,
    /// The services as now registered.
    pub directory: Arc<Directory>,
    /// Who hears of its landing.
    pub home: Home,
    /// Tickets that have not come back.
    pub flying: AtomicUsize,
    /// When they left for the route, in milliseconds.
    pub left_at: AtomicU64,
    /// Deliveries that have.
    pub arrived: Mutex<Vec<Arrived>>,
}

impl Batch {
    /// Tickets for some of its deliveries, which leave `now` and none of which
    /// is under way; the batch must be landed.
    pub fn tickets(self: &Arc<Self>, seats: &[usize], now: Millis) -> Vec<Ticket> {
        self.left_at.store(now.0, Ordering::Relaxed);
        self.flying.store(seats.len(), Ordering::Release);
        seats.iter().map(|seat| Ticket::of_batch(Arc::clone(self), *seat)).collect()
    }

    /// When the tickets under way left for the route.
    pub(super) fn left_at(&self) -> Millis {
        Millis(self.left_at.load(Ordering::Relaxed))
    }

    fn arrived(&self) -> MutexGuard<'_, Vec<Arrived>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has come back since the last call.
    pub fn unload(&self) -> Vec<Arrived> {
        std::mem::take(&mut *self.arrived())
    }

    /// Whether a delivery to `code` is still under way.
    pub fn carries(&self, code: FiscalCode, is_open: impl Fn(usize) -> bool) -> bool {
        let theirs = |seat: &Seat| {
            self.cohort.passengers.get(seat.passenger).is_some_and(|one| one.code == code)
        };
        let mut seats = self.seats.iter().enumerate().filter(|(_, seat)| theirs(seat)).peekable();
        if seats.peek().is_none() {
            return false;
        }
        let arrived = self.arrived();
        seats.any(|(place, _)| is_open(place) && arrived.iter().all(|one| one.seat != place))
    }

    fn seat(&self, seat: usize) -> Option<(&Seat, &Passenger)> {
        let seat = self.seats.get(seat)?;
        Some((seat, self.cohort.passengers.get(seat.passenger)?))
    }

    /// Prepares the attempt of a delivery that is about to start.
    pub(super) fn prepare(&self, seat: usize, now: Millis) -> Result<Prepared, End> {
        if !self.home.may_start() || self.alert.status() == AlertStatus::Paused {
            return Err(End::Returned);
        }
        if let Some(outcome) = self.alert.verdict() {
            return Err(End::Ended(outcome));
        }
        let Some((seat, passenger)) = self.seat(seat) else { return Err(End::Returned) };
        let service = self.directory.service(&self.alert.alert.service);
        let (alert, endpoint) = (&self.alert, seat.endpoint);
        let delivery =
            endpoint.alert_delivery_id(alert.alert.id, self.partition, passenger.ordinal);
        let record = passenger.record();
        alert
            .prepare(endpoint, delivery, record.as_ref(), service.as_ref(), now)
            .map_err(End::Ended)
    }

    /// Whether a queued delivery need not wait for its turn to end.
    pub(super) fn is_over(&self, seat: usize, now: Millis) -> bool {
        !self.home.may_start()
            || self.alert.status() != AlertStatus::Running
            || now >= self.alert.alert.expires_at
            || self.seat(seat).is_none_or(|(_, passenger)| passenger.record().is_none())
    }

    /// Puts a result down; the last one tells the partition.
    pub(super) fn arrive(self: &Arc<Self>, arrived: Arrived) {
        self.arrived().push(arrived);
        if self.flying.fetch_sub(1, Ordering::AcqRel) == 1 {
            let home = &self.home;
            if home.is_current() {
                home.address.cast(PartitionMessage::Landed(Arc::clone(self)));
            }
        }
    }
}
