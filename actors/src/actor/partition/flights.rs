//! What one partition has in flight through one route, against its credits.
//!
//! The store's due entries are the queue; this is a window onto it. A
//! delivery takes off with a credit and lands when its report is stored or
//! when it comes back unattempted. Without a credit it stays in the store
//! and is pulled later.

use std::collections::HashSet;

use crate::domain::id::RouteId;
use crate::domain::time::Millis;
use crate::message::route::RouteMessage;
use crate::message::ticket::FlightKey;
use crate::supervise::Address;

/// One route, as a partition sees it.
pub(crate) struct RouteBook {
    pub(crate) id: RouteId,
    pub(crate) address: Address<RouteMessage>,
    credits: usize,
    flights: HashSet<FlightKey>,
    /// Deliveries without an outcome, those in flight included.
    pending: u64,
    /// When the first one not in flight may be due; none when none is known.
    next_due: Option<Millis>,
    /// Deliveries pulled from the store whose turn is not yet stored.
    resuming: usize,
}

impl RouteBook {
    pub(crate) fn new(
        id: RouteId,
        address: Address<RouteMessage>,
        credits: usize,
        pending: u64,
    ) -> Self {
        let next_due = (pending > 0).then_some(Millis(0));
        Self { id, address, credits, flights: HashSet::new(), pending, next_due, resuming: 0 }
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

    /// A delivery not in flight is due at `at`.
    pub(crate) fn due_at(&mut self, at: Millis) {
        self.next_due = Some(self.next_due.map_or(at, |due| due.min(at)));
    }

    /// Takes a credit for `key`; false when none is left.
    pub(crate) fn take_off(&mut self, key: FlightKey) -> bool {
        self.flights.len() < self.credits && self.flights.insert(key)
    }

    /// Gives the credit of `key` back; false when it was not in flight.
    pub(crate) fn land(&mut self, key: &FlightKey) -> bool {
        self.flights.remove(key)
    }

    /// Whether due deliveries have yet to be handed to the route.
    pub(crate) fn waits(&self, now: Millis) -> bool {
        self.resuming > 0 || self.is_due(now)
    }

    /// Whether the store holds deliveries that are due.
    fn is_due(&self, now: Millis) -> bool {
        self.next_due.is_some_and(|due| due <= now)
    }

    /// A delivery was pulled; its citizen takes its turn.
    pub(crate) const fn resume(&mut self) {
        self.resuming += 1;
    }

    /// That turn is stored.
    pub(crate) const fn resumed(&mut self) {
        self.resuming = self.resuming.saturating_sub(1);
    }

    /// How many due deliveries to pull from the store at `now`. Waits for a
    /// quarter of the credits, so that pulls come in batches.
    pub(crate) fn pull(&self, now: Millis) -> Option<usize> {
        let free = self.credits - self.flights.len();
        let enough = free * 4 >= self.credits;
        (enough && self.is_due(now)).then_some(free)
    }

    /// What is due next after a pull.
    pub(crate) const fn pulled(&mut self, next: Option<Millis>) {
        self.next_due = next;
    }

    pub(crate) fn in_flight(&self) -> Vec<FlightKey> {
        self.flights.iter().copied().collect()
    }

    pub(crate) const fn pending(&self) -> u64 {
        self.pending
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }
}
