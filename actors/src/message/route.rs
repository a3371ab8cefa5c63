//! What a route is told.

use tokio::sync::oneshot;

use crate::domain::answer::Reason;
use crate::message::ticket::Ticket;
use std::time::Duration;

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

/// Mailbox of a route. Bounded by the credits of the partitions and by the
/// windows of the connections.
pub enum RouteMessage {
    /// Deliveries to attempt, in order.
    Dispatch(Vec<Ticket>),
    /// A connection takes this many more attempts.
    Free {
        /// Which of the route's connections.
        connection: usize,
        /// How many.
        slots: usize,
    },
    /// An attempt ended.
    Finished {
        /// Over which connection.
        connection: usize,
        /// What its answer says about the route.
        signal: Signal,
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
    /// Time has passed.
    Tick,
    /// Hand back what is queued and finish what is in flight.
    Drain {
        /// Answered when nothing is in flight.
        done: oneshot::Sender<()>,
    },
}
