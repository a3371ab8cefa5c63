//! What a route is told.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::oneshot;

use crate::domain::answer::Reason;
use crate::domain::id::RouteId;
use crate::domain::time::Millis;
use crate::message::ticket::Ticket;
use crate::port::budget::Grant;
use crate::port::store::StoreError;
use crate::supervise::Address;

/// What an answer says about the route itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The provider works.
    Success,
    /// Says nothing about the route.
    Neutral,
    /// The provider failed or did not answer.
    Failure,
    /// The provider asks the whole route to wait.
    Pause(Duration),
    /// An operator must act.
    Halt(Reason),
}

/// Signals in their order, equal ones counted together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signals(Vec<(Signal, usize)>);

impl Signals {
    /// One more.
    pub fn add(&mut self, signal: Signal) {
        match self.0.last_mut() {
            Some((last, count)) if *last == signal => *count += 1,
            _ => self.0.push((signal, 1)),
        }
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// Each with how many times it came in a row.
    pub fn iter(&self) -> impl Iterator<Item = (Signal, usize)> {
        self.0.iter().copied()
    }
}

/// How partitions reach a route.
#[derive(Clone)]
pub struct RouteHandle {
    /// Its name.
    pub id: RouteId,
    /// Its mailbox.
    pub address: Address<RouteMessage>,
    /// Deliveries its provider decided about, since the start: whoever fails
    /// while this grows is alone with it.
    pub successes: Arc<AtomicU64>,
}

impl RouteHandle {
    /// A route not yet living.
    pub fn new(id: RouteId) -> Self {
        Self { id, address: Address::default(), successes: Arc::default() }
    }
}

/// Mailbox of a route. Bounded by the credits of the partitions and by the
/// windows of the connections.
pub enum RouteMessage {
    /// Deliveries to attempt, in order.
    Dispatch(Vec<Ticket>),
    /// Attempts ended, or a connection takes more.
    Finished {
        /// Over which connection.
        connection: usize,
        /// What their answers say about the route, in their order.
        signals: Signals,
        /// How many more attempts the connection takes now.
        slots: usize,
    },
    /// A connection hands back what it could not start.
    Hold {
        /// Which.
        connection: usize,
        /// In the order they were sent.
        tickets: Vec<Ticket>,
    },
    /// A connection is open.
    Up {
        /// Which.
        connection: usize,
    },
    /// A connection is closed, its slots with it.
    Lost {
        /// Which.
        connection: usize,
        /// Why, for the operator.
        detail: String,
    },
    /// A draw from the route's budget came back.
    Drawn(Result<Grant, StoreError>),
    /// The provider asked another node to wait until then.
    PauseUntil(Millis),
    /// Time has passed.
    Tick,
    /// Hand back what is queued and finish what is in flight.
    Drain {
        /// Answered when nothing is in flight.
        done: oneshot::Sender<()>,
    },
}
