//! What one partition has in flight through one route, against its credits.
//!
//! The store's due entries are the queue; this is a window onto it. A
//! delivery takes off with a credit and lands when its report is stored or
//! when it comes back unattempted. Without a credit it stays in the store
//! and is pulled later. The credits are shared by the lanes: however slow the
//! provider is, an emergency finds one that bulk cannot hold, and bulk one
//! that emergencies cannot.

use std::collections::HashMap;

use crate::domain::id::RouteId;
use crate::domain::lane::{ByLane, Lane};
use crate::domain::time::Millis;
use crate::message::route::RouteMessage;
use crate::message::ticket::FlightKey;
use crate::policy::shares::Shares;
use crate::supervise::Address;

/// One lane of a route, as a partition sees it.
#[derive(Default)]
struct LaneBook {
    /// Deliveries in flight.
    flights: usize,
    /// When the first one not in flight may be due; none when none is known.
    next_due: Option<Millis>,
    /// Deliveries pulled from the store whose turn is not yet stored.
    resuming: usize,
}

impl LaneBook {
    fn due_at(&mut self, at: Millis) {
        self.next_due = Some(self.next_due.map_or(at, |due| due.min(at)));
    }

    /// Whether the store holds deliveries that are due.
    fn is_due(&self, now: Millis) -> bool {
        self.next_due.is_some_and(|due| due <= now)
    }
}

/// One route, as a partition sees it.
pub(crate) struct RouteBook {
    pub(crate) id: RouteId,
    pub(crate) address: Address<RouteMessage>,
    credits: Shares,
    flights: HashMap<FlightKey, Lane>,
    /// Deliveries without an outcome, those in flight included.
    pending: u64,
    lanes: ByLane<LaneBook>,
}

impl RouteBook {
    pub(crate) fn new(
        id: RouteId,
        address: Address<RouteMessage>,
        credits: usize,
        pending: u64,
    ) -> Self {
        let next_due = (pending > 0).then_some(Millis(0));
        let lane = |_| LaneBook { next_due, ..LaneBook::default() };
        Self {
            id,
            address,
            credits: Shares::new(credits),
            flights: HashMap::new(),
            pending,
            lanes: ByLane::from_fn(lane),
        }
    }

    /// A delivery was planned.
    pub(crate) const fn planned(&mut self) {
        self.pending += 1;
    }

    /// A delivery got its outcome.
    pub(crate) const fn settled(&mut self) {
        self.pending = self.pending.saturating_sub(1);
    }

    /// Deliveries were cancelled in the store; none of them is in flight.
    pub(crate) const fn cancelled(&mut self, count: u64) {
        self.pending = self.pending.saturating_sub(count);
    }

    /// A delivery of `lane` that is not in flight is due at `at`.
    pub(crate) fn due_at(&mut self, lane: Lane, at: Millis) {
        self.lanes[lane].due_at(at);
    }

    /// A delivery in flight is about to land and due again at `at`.
    pub(crate) fn deferred(&mut self, key: &FlightKey, at: Millis) {
        match self.flights.get(key) {
            Some(lane) => self.lanes[*lane].due_at(at),
            // A look too many costs a read, one too few a delivery.
            None => Lane::ALL.into_iter().for_each(|lane| self.lanes[lane].due_at(at)),
        }
    }

    /// How many credits `lane` may still take.
    fn room(&self, lane: Lane) -> usize {
        self.credits.room(lane, &self.lanes.map(|book| book.flights))
    }

    /// Takes a credit of `lane` for `key`; false when none is left.
    pub(crate) fn take_off(&mut self, key: FlightKey, lane: Lane) -> bool {
        if self.room(lane) == 0 || self.flights.contains_key(&key) {
            return false;
        }
        self.flights.insert(key, lane);
        self.lanes[lane].flights += 1;
        true
    }

    /// Gives the credit of `key` back; false when it was not in flight.
    pub(crate) fn land(&mut self, key: &FlightKey) -> bool {
        let Some(lane) = self.flights.remove(key) else { return false };
        self.lanes[lane].flights -= 1;
        true
    }

    /// Whether due deliveries of `lane` have yet to be handed to the route.
    pub(crate) fn waits(&self, lane: Lane, now: Millis) -> bool {
        let book = &self.lanes[lane];
        book.resuming > 0 || book.is_due(now)
    }

    /// A delivery was pulled; its citizen takes its turn.
    pub(crate) fn resume(&mut self, lane: Lane) {
        self.lanes[lane].resuming += 1;
    }

    /// That turn is stored, and the delivery still in flight.
    pub(crate) fn resumed(&mut self, key: &FlightKey) {
        if let Some(lane) = self.flights.get(key) {
            let book = &mut self.lanes[*lane];
            book.resuming = book.resuming.saturating_sub(1);
        }
    }

    /// How many due deliveries of `lane` to pull from the store at `now`.
    /// Waits for a quarter of the credits, or for half of the lane's reserve,
    /// so that pulls come in batches.
    pub(crate) fn pull(&self, lane: Lane, now: Millis) -> Option<usize> {
        let (book, free) = (&self.lanes[lane], self.room(lane));
        let enough = free * 4 >= self.credits.total() || book.flights <= self.credits.reserve() / 2;
        (free > 0 && enough && book.is_due(now)).then_some(free)
    }

    /// What is due next in `lane` after a pull.
    pub(crate) fn pulled(&mut self, lane: Lane, next: Option<Millis>) {
        self.lanes[lane].next_due = next;
    }

    pub(crate) fn in_flight(&self, lane: Lane) -> Vec<FlightKey> {
        let mine = self.flights.iter().filter(|(_, its)| **its == lane);
        mine.map(|(key, _)| *key).collect()
    }

    pub(crate) const fn pending(&self) -> u64 {
        self.pending
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }
}
