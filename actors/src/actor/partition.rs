//! The partition: owns a slice of the citizens.
//!
//! Reads its intake journals as far as it has room, activates citizens, stores
//! what their turns decide in atomic steps under its epoch, then hands
//! deliveries to routes against credits. Everything it holds in memory can
//! be rebuilt from the store: after a crash of this actor the next
//! generation opens the partition again, which fences this one, and starts
//! from the checkpoints, the due entries and the cursors of the walks.
//!
//! Order of every step: decide, store, act. Nothing leaves for a provider
//! before the plan it belongs to is durable.

mod active;
mod departure;
mod erasure;
mod fall;
mod flights;
mod intake;
mod state;
mod walks;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

use crate::actor::citizen::World;
use crate::alert::AlertBoard;
use crate::board::Board;
use crate::cluster::{Lease, Outbox};
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::id::{Epoch, PartitionId, RouteId};
use crate::message::hub::{self, HubHandle, HubMessage};
use crate::message::partition::{PartitionHandle, PartitionMessage};
use crate::message::route::RouteHandle;
use crate::message::ticket::Home;
use crate::metric::PartitionMetrics;
use crate::port::store::{Opened, Store, StoreError};
use crate::supervise::Address;

pub(crate) use flights::RouteBook;
pub(crate) use state::State;

/// Limits of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionLimits {
    /// Arrivals taken from the journals whose turn is not yet stored.
    pub max_active: usize,
    /// Deliveries in flight per route, all lanes together.
    pub credits: usize,
    /// Panics of one message's turn before it is quarantined.
    pub max_panics: u32,
}

/// What every generation of a partition starts from.
pub(crate) struct Context {
    pub(crate) id: PartitionId,
    pub(crate) limits: PartitionLimits,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) world: Arc<World>,
    pub(crate) board: Arc<Board>,
    pub(crate) handles: Arc<[PartitionHandle]>,
    pub(crate) routes: Vec<RouteHandle>,
    pub(crate) current: Arc<AtomicU64>,
    /// The epoch it was last opened under.
    pub(crate) epoch: AtomicU64,
    /// How long its lease lasts; none: nobody else could have it.
    pub(crate) leased_for: Option<Duration>,
    pub(crate) hubs: Arc<[HubHandle]>,
    pub(crate) alerts: Arc<AlertBoard>,
    pub(crate) outbox: Arc<Outbox>,
}

impl Context {
    fn handle(&self) -> &PartitionHandle {
        &self.handles[usize::from(self.id.0)]
    }

    /// How it is reached.
    pub(crate) fn address(&self) -> &Address<PartitionMessage> {
        &self.handle().address
    }

    /// Whether it is this process' to work on.
    pub(crate) fn lease(&self) -> &Arc<Lease> {
        &self.handle().lease
    }

    /// The epoch it was last opened under.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// Wakes the live sessions of citizens whose inbox changed, on every node.
    fn ring<'a>(&self, citizens: impl Iterator<Item = &'a FiscalCode> + Clone) {
        hub::of(&self.hubs, self.id).ring(citizens.clone());
        self.outbox.rung(self.id, citizens.map(hub::slot));
    }

    /// Ends the live sessions of a citizen, on every node.
    fn revoke(&self, citizen: FiscalCode) {
        let hub = hub::of(&self.hubs, self.id);
        hub.address.cast(HubMessage::Revoke { citizen, done: None });
        self.outbox.revoked(citizen);
    }

    /// Takes it over: the lease counts from before the request.
    async fn open(&self, generation: u64) -> Result<Opened, StoreError> {
        let asked = Instant::now();
        let opened = self.store.open_partition(self.id).await?;
        self.epoch.store(opened.epoch.0, Ordering::Release);
        self.current.store(generation, Ordering::Release);
        match self.leased_for {
            Some(lasts) => self.lease().renew(asked, lasts),
            None => self.lease().hold(),
        }
        Ok(opened)
    }
}

/// The actor.
pub(crate) struct Partition;

impl Actor for Partition {
    type Msg = PartitionMessage;
    type State = State;
    type Arguments = (Arc<Context>, u64);

    async fn pre_start(
        &self,
        myself: ActorRef<PartitionMessage>,
        (context, generation): (Arc<Context>, u64),
    ) -> Result<State, ActorProcessingErr> {
        let opened = context.open(generation).await?;
        context.handle().address.set(myself.clone());
        // Taken by the generation before, and lost with its mailbox.
        context.handle().take_tick();
        context.handle().take_walk();
        let mut state = rebuild(context, generation, myself.clone(), &opened);
        state.adopt().await?;
        state.show();
        state.context.board.partition(state.context.id.0).open.store(true, Ordering::Release);
        myself.cast(PartitionMessage::Poked)?;
        state.context.handle().walk();
        Ok(state)
    }

    async fn handle(
        &self,
        _myself: ActorRef<PartitionMessage>,
        message: PartitionMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            PartitionMessage::Poked => state.poked().await?,
            PartitionMessage::Turned { citizen, incarnation, turn } => {
                state.turned(citizen, incarnation, turn);
            }
            PartitionMessage::Fell { citizen, incarnation } => {
                state.fell(citizen, incarnation).await?;
            }
            PartitionMessage::Report(report) => state.report(report),
            PartitionMessage::Flush => state.flush().await?,
            PartitionMessage::Tick => state.tick().await?,
            PartitionMessage::Walk => state.walk().await?,
            PartitionMessage::Landed(batch) => state.landed(&batch),
            PartitionMessage::Changed { citizen, done } => {
                state.changed(citizen).await?;
                // The caller may have given up waiting.
                let _ = done.send(());
            }
            PartitionMessage::Refresh { done } => {
                state.refresh().await?;
                // As above.
                let _ = done.send(());
            }
            PartitionMessage::Erase(request) => state.erase(request).await?,
            PartitionMessage::Drain { done } => state.drain(done),
        }
        state.finish_erasures().await?;
        state.show();
        Ok(())
    }
}

/// The state of a partition just taken over.
fn rebuild(
    context: Arc<Context>,
    generation: u64,
    myself: ActorRef<PartitionMessage>,
    opened: &Opened,
) -> State {
    let waiting = |route: &RouteId| {
        opened.backlogs.iter().find(|backlog| backlog.route == *route).map_or(0, |b| b.pending)
    };
    let routes: Vec<_> = context
        .routes
        .iter()
        .map(|RouteHandle { id, address, .. }| {
            let credits = context.limits.credits;
            RouteBook::new(id.clone(), address.clone(), credits, waiting(id))
        })
        .collect();
    for backlog in &opened.backlogs {
        if !routes.iter().any(|route| route.id == backlog.route) {
            let (route, pending) = (&backlog.route, backlog.pending);
            tracing::warn!(%route, pending, "deliveries wait for a route that is not configured");
        }
    }
    let routed: u64 = routes.iter().map(RouteBook::pending).sum();
    let waiting: u64 = opened.backlogs.iter().map(|backlog| backlog.pending).sum();
    let home = Home {
        address: context.handle().address.clone(),
        generation,
        current: Arc::clone(&context.current),
        lease: Arc::clone(context.lease()),
    };
    State {
        departures: routes.iter().map(|_| Vec::new()).collect(),
        epoch: opened.epoch,
        home,
        myself,
        intake: intake::Intake::new(&opened.journals, context.limits.max_active),
        active: HashMap::new(),
        // Citizens of an earlier generation may still speak: their
        // incarnations are not these.
        incarnations: generation << 32,
        ticks: 0,
        looked_at: Instant::now(),
        routes,
        unrouted: waiting - routed,
        buffer: Vec::new(),
        flush_scheduled: false,
        panics: HashMap::new(),
        erasures: erasure::Erasures::default(),
        walks: walks::Walks::new(&context.routes),
        draining: None,
        metrics: PartitionMetrics::new(),
        context,
    }
}
