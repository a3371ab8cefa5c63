//! The hub: holds the live sessions of a slice of the citizens and wakes
//! them when their inbox changed.
//!
//! Owns a bell per citizen and nothing durable: a session reads the inbox
//! from the store, the hub only says when. Sessions activate no citizen. If
//! the hub crashes its bells drop, so every session ends and its reader comes
//! back with the last place it saw, which loses nothing.

mod sessions;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use std::time::Duration;

use crate::message::hub::{HubHandle, HubMessage};
use crate::metric::LiveMetrics;

pub(crate) use sessions::House;
use sessions::Sessions;

/// Hubs of an engine: enough that none is a bottleneck, few enough that a
/// step of a partition, which speaks to one, wakes in a batch.
pub(crate) const HUBS: u16 = 8;

/// Between looks for sessions whose reader has gone.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What every generation of a hub starts from.
pub(crate) struct Context {
    pub(crate) hubs: Arc<[HubHandle]>,
    pub(crate) index: usize,
    pub(crate) house: Arc<House>,
}

impl Context {
    fn handle(&self) -> &HubHandle {
        &self.hubs[self.index]
    }
}

/// The actor.
pub(crate) struct Hub;

/// See the module's text.
pub(crate) struct State {
    context: Arc<Context>,
    sessions: Sessions,
    metrics: LiveMetrics,
}

impl Actor for Hub {
    type Msg = HubMessage;
    type State = State;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        myself: ActorRef<HubMessage>,
        context: Arc<Context>,
    ) -> Result<State, ActorProcessingErr> {
        context.handle().address.set(myself.clone());
        // After that: a wake still on its way to the generation before fails
        // or is lost with it, and so were its sessions.
        context.handle().begin();
        myself.send_after(LOOK_EVERY, || HubMessage::Look);
        let sessions = Sessions::new(Arc::clone(&context.house));
        Ok(State { context, sessions, metrics: LiveMetrics::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<HubMessage>,
        message: HubMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let State { context, sessions, metrics } = state;
        let bells = &context.handle().bells;
        match message {
            HubMessage::Enter { citizen, reply } => {
                let entered = sessions.enter(citizen, bells);
                metrics.entered(&entered);
                // Whoever asked may have hung up; the next look finds out.
                let _ = reply.send(entered);
            }
            HubMessage::Wake => {
                context.handle().take_poke();
                metrics.woken(sessions.wake(&bells.take()));
            }
            HubMessage::Revoke { citizen, done } => {
                sessions.close(citizen, bells);
                // The caller may have given up waiting.
                done.map(|done| done.send(()));
            }
            HubMessage::Look => {
                sessions.look(bells);
                metrics.woken(sessions.wake(&bells.take()));
                myself.send_after(LOOK_EVERY, || HubMessage::Look);
            }
        }
        metrics.open(context.house.open());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
