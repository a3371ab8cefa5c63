//! A citizen with a living actor, as its partition keeps it.

use ractor::{Actor, ActorRef, SpawnErr};
use std::collections::VecDeque;
use std::sync::Arc;

use crate::actor::citizen::{Activation, CitizenActor};
use crate::domain::delivery::Endpoint;
use crate::domain::lane::Lane;
use crate::message::citizen::{Attempt, CitizenMessage};
use crate::message::ticket::{CitizenCell, FlightKey};
use crate::policy::turnstile::Turnstile;

/// See the module's text. Dropping it stops the actor.
pub(crate) struct Active {
    actor: ActorRef<CitizenMessage>,
    pub(crate) cell: Arc<CitizenCell>,
    pub(crate) incarnation: u64,
    /// Inputs given whose turn has not come back, the oldest first: after a
    /// fall they are given again.
    pub(crate) inputs: VecDeque<CitizenMessage>,
    /// Turns taken and not yet stored.
    pub(crate) unsaved: usize,
    /// Deliveries that hold a credit.
    pub(crate) airborne: usize,
    /// Keeps attempts to one device in one lane in order.
    pub(crate) stile: Turnstile<FlightKey, (Endpoint, Lane), Attempt>,
}

impl Active {
    /// Activates a citizen.
    pub(crate) async fn start(activation: Activation) -> Result<Self, SpawnErr> {
        let cell = Arc::clone(&activation.cell);
        let incarnation = activation.incarnation;
        // Unlinked: links take a process-wide lock, and a guard in the
        // actor's state tells of its fall. The task is owned by this value:
        // its drop stops the actor.
        let (actor, _task) = Actor::spawn(None, CitizenActor, activation).await?;
        Ok(Self {
            actor,
            cell,
            incarnation,
            inputs: VecDeque::new(),
            unsaved: 0,
            airborne: 0,
            stile: Turnstile::default(),
        })
    }

    /// Gives an input; its turn comes back as a message to the partition.
    pub(crate) fn give(&mut self, input: CitizenMessage) {
        self.inputs.push_back(input.clone());
        // A fallen actor takes no message: its fall is on the way to the
        // partition, which gives all inputs again.
        let _ = self.actor.cast(input);
    }

    /// Whether nothing of the citizen is live any more.
    pub(crate) fn is_idle(&self) -> bool {
        self.inputs.is_empty() && self.unsaved == 0 && self.airborne == 0
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.actor.stop(None);
    }
}
