//! What a citizen's actor is told, and what it answers.

use std::sync::Arc;

use crate::domain::delivery::Endpoint;
use crate::domain::effect::Effect;
use crate::domain::id::RouteId;
use crate::domain::lane::Lane;
use crate::domain::message::Message;
use crate::message::ticket::FlightKey;
use crate::policy::turn::Answered;

/// Mailbox of a citizen: each entry is one turn.
#[derive(Clone, Debug)]
pub enum CitizenMessage {
    /// A message arrived.
    Arrive {
        /// Its place in the intake journal of its lane.
        sequence: u64,
        /// The message.
        message: Arc<Message>,
    },
    /// A delivery's next attempt is due.
    Due {
        /// The message.
        message: Arc<Message>,
        /// Which of its deliveries.
        endpoint: Endpoint,
        /// The route that carries it.
        route: RouteId,
        /// Attempts before this one.
        retries: u16,
    },
    /// An attempt was answered.
    Answered {
        /// The answer.
        answered: Answered,
        /// The route it came from.
        route: RouteId,
    },
}

/// An attempt that a turn asks for.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The message.
    pub message: Arc<Message>,
    /// Which of its deliveries.
    pub endpoint: Endpoint,
    /// The route that carries it.
    pub route: RouteId,
    /// Attempts before this one.
    pub retries: u16,
}

/// What a turn was about.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A message that arrived.
    Arrival {
        /// Its lane.
        lane: Lane,
        /// Its place in the intake journal of that lane.
        sequence: u64,
    },
    /// A due delivery; it holds a credit.
    Due {
        /// The route that carries it.
        route: RouteId,
        /// The delivery.
        key: FlightKey,
    },
    /// A ticket that ended; its delivery holds a credit.
    Ticket {
        /// The route it was given to.
        route: RouteId,
        /// The delivery.
        key: FlightKey,
    },
}

impl Origin {
    /// The delivery that holds a credit, and its route.
    pub const fn flight(&self) -> Option<(&RouteId, &FlightKey)> {
        match self {
            Self::Arrival { .. } => None,
            Self::Due { route, key } | Self::Ticket { route, key } => Some((route, key)),
        }
    }
}

/// What a turn decided: changes to store first, then attempts to make.
#[derive(Clone, Debug)]
pub struct Turn {
    /// What it was about.
    pub origin: Origin,
    /// Changes to store.
    pub effects: Vec<Effect>,
    /// Attempts to make once they are stored.
    pub attempts: Vec<Attempt>,
}
