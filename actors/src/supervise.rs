//! Supervision in the manner of OTP: stable addresses, generations and
//! restart intensity. ractor has none of them: its default supervisor stops
//! itself when a child ends, and knows no limit of restarts.

use futures_util::future::BoxFuture;
use ractor::{
    Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, Message, SpawnErr, SupervisionEvent,
};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::metric;
use crate::policy::restart::{Intensity, RestartWindow};
use crate::port::clock::Clock;
use crate::port::store::StoreError;

/// Where an actor can be reached across its incarnations.
///
/// While no incarnation lives, a message is dropped: whatever must not be
/// lost is in the store, and tickets report their own drop.
pub struct Address<M>(Arc<RwLock<Option<ActorRef<M>>>>);

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> Default for Address<M> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<M: Message> Address<M> {
    /// Sends `message` to the living incarnation. Returns whether there was
    /// one.
    pub fn cast(&self, message: M) -> bool {
        // The message may hold tickets that report when dropped, perhaps to
        // this very address: so it must not be dropped under the lock.
        let actor = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        actor.is_some_and(|actor| actor.cast(message).is_ok())
    }

    /// The incarnation last heard of.
    #[cfg(test)]
    pub(crate) fn actor(&self) -> Option<ActorRef<M>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Points the address to a new incarnation.
    pub(crate) fn set(&self, actor: ActorRef<M>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(actor);
    }
}

/// Starts generation `n` of a child, linked to the given parent.
pub(crate) type Start =
    Box<dyn Fn(u64, ActorCell) -> BoxFuture<'static, Result<ActorCell, SpawnErr>> + Send + Sync>;

/// One supervised child.
pub(crate) struct Child {
    name: String,
    start: Start,
    generation: u64,
    living: Option<ActorId>,
}

impl Child {
    /// A child whose generation `n` is the actor started with `arguments(n)`.
    pub(crate) fn of<A: Actor>(
        name: impl Into<String>,
        actor: fn() -> A,
        arguments: impl Fn(u64) -> A::Arguments + Send + Sync + 'static,
    ) -> Self {
        let start = move |generation, parent| -> BoxFuture<'static, _> {
            let arguments = arguments(generation);
            Box::pin(async move {
                Ok(Actor::spawn_linked(None, actor(), arguments, parent).await?.0.get_cell())
            })
        };
        Self::new(name, Box::new(start))
    }

    pub(crate) fn new(name: impl Into<String>, start: Start) -> Self {
        Self { name: name.into(), start, generation: 0, living: None }
    }
}

/// The children of a supervisor, restarted one for one.
pub(crate) struct Children {
    children: Vec<Child>,
    window: RestartWindow,
    clock: Arc<dyn Clock>,
}

/// A child failed more often than the intensity allows.
#[derive(Debug, thiserror::Error)]
#[error("{child} keeps failing: {cause}")]
pub(crate) struct GaveUp {
    child: String,
    cause: String,
}

/// Pause before a child that could not even start is tried again.
const START_PAUSE: Duration = Duration::from_millis(200);

impl Children {
    pub(crate) fn new(children: Vec<Child>, intensity: Intensity, clock: Arc<dyn Clock>) -> Self {
        Self { children, window: RestartWindow::new(intensity), clock }
    }

    /// Starts all, in order; the first that cannot start ends it.
    pub(crate) async fn start(&mut self, parent: &ActorCell) -> Result<(), SpawnErr> {
        for child in &mut self.children {
            let cell = (child.start)(child.generation, parent.clone()).await?;
            child.living = Some(cell.get_id());
        }
        Ok(())
    }

    /// Restarts the child that `event` tells the end of. Returns its place
    /// among the children, if there was one to restart.
    pub(crate) async fn on_event(
        &mut self,
        event: SupervisionEvent,
        parent: &ActorCell,
    ) -> Result<Option<usize>, GaveUp> {
        let (who, mut cause) = match event {
            SupervisionEvent::ActorFailed(who, error) => (who, cause(&error)),
            SupervisionEvent::ActorTerminated(who, _, reason) => {
                (who, reason.unwrap_or_else(|| "it stopped".into()))
            }
            _ => return Ok(None),
        };
        let ended = |child: &Child| child.living == Some(who.get_id());
        let Some(place) = self.children.iter().position(ended) else { return Ok(None) };
        let child = &mut self.children[place];
        child.living = None;
        loop {
            if !self.window.permits(self.clock.now()) {
                let gave_up = GaveUp { child: child.name.clone(), cause };
                tracing::error!(error = %gave_up, "a supervisor gives up");
                return Err(gave_up);
            }
            child.generation += 1;
            metric::restarted(&child.name);
            tracing::warn!(actor = child.name, generation = child.generation, cause, "restart");
            match (child.start)(child.generation, parent.clone()).await {
                Ok(cell) => {
                    child.living = Some(cell.get_id());
                    return Ok(Some(place));
                }
                Err(error) => cause = error.to_string(),
            }
            tokio::time::sleep(START_PAUSE).await;
        }
    }
}

/// Why an actor failed, for the log. A panic's text may quote what it was
/// working on, so only errors of ours are shown.
fn cause(error: &ActorProcessingErr) -> String {
    if error.is::<StoreError>() || error.is::<GaveUp>() {
        error.to_string()
    } else {
        "it panicked".to_owned()
    }
}

/// An actor that does nothing but supervise. Owns its children; fails, and
/// takes them along, when one of them keeps failing.
pub(crate) struct Supervisor;

impl Actor for Supervisor {
    type Msg = ();
    type State = Children;
    type Arguments = Children;

    async fn pre_start(
        &self,
        myself: ActorRef<()>,
        mut children: Children,
    ) -> Result<Children, ActorProcessingErr> {
        children.start(&myself.get_cell()).await?;
        Ok(children)
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        children: &mut Children,
    ) -> Result<(), ActorProcessingErr> {
        children.on_event(event, &myself.get_cell()).await?;
        Ok(())
    }
}
