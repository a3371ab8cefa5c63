//! The citizen's actor: takes one turn at a time.
//!
//! Owns nothing durable: its inputs come from its partition, its decisions
//! go back there to be stored. Activated while something for the citizen is
//! live, stopped by the partition when nothing is. A panic ends only this
//! actor; the partition hears of it through the guard in its state, rebuilds
//! the citizen from the store and gives it its inputs again.

use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;

use crate::directory::Directory;
use crate::domain::delivery::Endpoint;
use crate::domain::effect::Effect;
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::id::RouteId;
use crate::domain::message::Message;
use crate::domain::time::Millis;
use crate::message::citizen::{Attempt, CitizenMessage, Origin, Turn};
use crate::message::partition::PartitionMessage;
use crate::message::ticket::CitizenCell;
use crate::policy::turn::{self, Answered, RouteTable, Terms};
use crate::port::clock::Clock;
use crate::port::rng::Rng;
use crate::supervise::Address;

/// What every citizen's turn needs.
pub(crate) struct World {
    pub(crate) directory: Arc<Directory>,
    pub(crate) routes: RouteTable,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Rng>,
}

/// The actor.
pub(crate) struct CitizenActor;

/// How a citizen is activated.
pub(crate) struct Activation {
    pub(crate) fiscal_code: FiscalCode,
    pub(crate) cell: Arc<CitizenCell>,
    pub(crate) incarnation: u64,
    pub(crate) home: Address<PartitionMessage>,
    pub(crate) world: Arc<World>,
}

/// The actor's state; its drop without a clean stop is a fall.
pub(crate) struct State {
    activation: Activation,
    stopped: bool,
}

impl Drop for State {
    fn drop(&mut self) {
        if !self.stopped {
            let Activation { fiscal_code: citizen, incarnation, .. } = self.activation;
            self.activation.home.cast(PartitionMessage::Fell { citizen, incarnation });
        }
    }
}

impl Actor for CitizenActor {
    type Msg = CitizenMessage;
    type State = State;
    type Arguments = Activation;

    async fn pre_start(
        &self,
        _myself: ActorRef<CitizenMessage>,
        activation: Activation,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State { activation, stopped: false })
    }

    async fn handle(
        &self,
        _myself: ActorRef<CitizenMessage>,
        message: CitizenMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let activation = &state.activation;
        let now = activation.world.clock.now();
        let turn = match message {
            CitizenMessage::Arrive { sequence, message } => {
                arrive(activation, sequence, message, now)
            }
            CitizenMessage::Due { message, endpoint, route, retries } => {
                due(activation, message, endpoint, route, retries, now)
            }
            CitizenMessage::Answered { answered, route } => {
                react(activation, &answered, route, now)
            }
        };
        activation.home.cast(PartitionMessage::Turned {
            citizen: activation.fiscal_code,
            incarnation: activation.incarnation,
            turn,
        });
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<CitizenMessage>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        state.stopped = true;
        Ok(())
    }
}

fn arrive(activation: &Activation, sequence: u64, message: Arc<Message>, now: Millis) -> Turn {
    let Activation { cell, world, .. } = activation;
    let citizen = cell.load();
    let service = world.directory.service(&message.service);
    let plan = turn::plan(&message, citizen.as_deref(), service.as_deref(), &world.routes, now);
    let attempt = |(endpoint, route)| {
        let message = Arc::clone(&message);
        Attempt { message, endpoint, route, retries: 0 }
    };
    Turn {
        origin: Origin::Arrival { lane: message.lane, sequence },
        effects: vec![plan.effect],
        attempts: plan.attempts.into_iter().map(attempt).collect(),
    }
}

fn due(
    activation: &Activation,
    message: Arc<Message>,
    endpoint: Endpoint,
    route: RouteId,
    retries: u16,
    now: Millis,
) -> Turn {
    let citizen = activation.cell.load();
    let service = activation.world.directory.service(&message.service);
    let origin = Origin::Due { route: route.clone(), key: (message.id, endpoint) };
    match turn::consent(Terms::of(&message), endpoint, citizen.as_deref(), service.as_deref(), now)
    {
        Ok(_) => Turn {
            origin,
            effects: Vec::new(),
            attempts: vec![Attempt { message, endpoint, route, retries }],
        },
        Err(outcome) => Turn {
            origin,
            effects: vec![Effect::Settled { message: message.id, endpoint, outcome }],
            attempts: Vec::new(),
        },
    }
}

fn react(activation: &Activation, answered: &Answered, route: RouteId, now: Millis) -> Turn {
    let world = &activation.world;
    let unit = world.rng.unit();
    let effects = world.routes.retry(&route).map_or_else(Vec::new, |retry| {
        turn::react(activation.fiscal_code, answered, retry, now, unit)
    });
    let origin = Origin::Ticket { route, key: (answered.message, answered.endpoint) };
    Turn { origin, effects, attempts: Vec::new() }
}
