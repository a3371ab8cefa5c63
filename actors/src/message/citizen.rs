//! What a citizen's actor is told, and what it answers.

use std::sync::Arc;

use crate::domain::delivery::Endpoint;
use crate::domain::effect::Effect;
use crate::domain::id::RouteId;
use crate::domain::message::Message;
use crate::message::ticket::FlightKey;
use crate::policy::turn::{Answered, Prepared};

/// Mailbox of a citizen: each entry is one turn.
#[derive(Clone, Debug)]
pub enum CitizenMessage {
    /// A message arrived.
    Arrive {
        /// Its place in the intake journal.
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
    /// What to hand over.
    pub prepared: Prepared,
}

/// What a turn decided: changes to store first, then attempts to make.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// The journal entry whose turn this was.
    pub arrival: Option<u64>,
    /// The flight that this turn ends, unless `attempts` goes on with it.
    pub flight: Option<(RouteId, FlightKey)>,
    /// Changes to store.
    pub effects: Vec<Effect>,
    /// Attempts to make once they are stored.
    pub attempts: Vec<Attempt>,
}
