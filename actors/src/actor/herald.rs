//! The herald: takes up what the other nodes tell.
//!
//! In order, one after the other: when this node's own voice comes back, what was
//! told before it has been taken up, and only then does it open the gate for
//! another second. Holds nothing that is not in the store: whatever may have been
//! missed is looked up there, with the gate shut until it is. If the herald
//! crashes the gate closes by itself, and the next one looks everything up.

use futures_util::future::join_all;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::actor::keeper::KeeperMessage;
use crate::alert::AlertBoard;
use crate::cluster::Gate;
use crate::directory::Directory;
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::id::PartitionId;
use crate::domain::notice::Notice;
use crate::erasure::Eraser;
use crate::message::hub::{self, HubHandle, HubMessage};
use crate::message::partition::{self, PartitionHandle, PartitionMessage};
use crate::message::route::{RouteHandle, RouteMessage};
use crate::metric::ClusterMetrics;
use crate::port::cluster::{Cluster, Heard};
use crate::port::store::{Store, StoreError};
use crate::supervise::Address;

/// Changes told to partitions that have not taken them up yet.
const UNDER_WAY: usize = 256;
/// For something to be told, before a look at the mailbox.
const PATIENCE: Duration = Duration::from_millis(500);
/// Citizens being erased at the wish of other nodes.
const ERASING: usize = 64;

/// What every herald starts from.
pub(crate) struct Context {
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) alerts: Arc<AlertBoard>,
    pub(crate) partitions: Arc<[PartitionHandle]>,
    pub(crate) hubs: Arc<[HubHandle]>,
    pub(crate) routes: Vec<RouteHandle>,
    pub(crate) keeper: Address<KeeperMessage>,
    pub(crate) eraser: Eraser,
    /// Everything told, for whichever herald lives.
    pub(crate) told: Mutex<mpsc::Receiver<Heard>>,
}

/// Mailbox of the herald: it speaks to itself alone.
pub(crate) enum HeraldMessage {
    /// Listen.
    Listen,
}

/// The actor.
pub(crate) struct Herald;

/// What has to be looked up in the store.
#[derive(Default)]
struct Missed {
    registry: bool,
    alerts: bool,
    records: bool,
}

/// See the module's text.
pub(crate) struct State {
    context: Arc<Context>,
    missed: Missed,
    /// Partitions that have yet to take a change up.
    under_way: Vec<oneshot::Receiver<()>>,
    erasing: JoinSet<()>,
    metrics: ClusterMetrics,
}

impl Actor for Herald {
    type Msg = HeraldMessage;
    type State = State;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        myself: ActorRef<HeraldMessage>,
        context: Arc<Context>,
    ) -> Result<State, ActorProcessingErr> {
        context.gate.shut();
        myself.cast(HeraldMessage::Listen)?;
        Ok(State {
            context,
            missed: Missed { registry: true, alerts: true, records: true },
            under_way: Vec::new(),
            erasing: JoinSet::new(),
            metrics: ClusterMetrics::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<HeraldMessage>,
        HeraldMessage::Listen: HeraldMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let context = Arc::clone(&state.context);
        let heard = timeout(PATIENCE, async { context.told.lock().await.recv().await }).await;
        match heard {
            Ok(Some(Heard::Notice(notice))) => state.take_up(notice).await,
            Ok(Some(Heard::Echo { sent })) => state.echo(sent).await,
            Ok(Some(Heard::Gap)) => state.gap(),
            // The store is closing, and this process with it.
            Ok(None) => return Ok(()),
            // It may be told to end.
            Err(_) => {}
        }
        while state.erasing.try_join_next().is_some() {}
        myself.cast(HeraldMessage::Listen)?;
        Ok(())
    }
}

impl State {
    fn home(&self, citizen: &FiscalCode) -> &PartitionHandle {
        partition::home(&self.context.partitions, citizen)
    }

    fn hub(&self, partition: PartitionId) -> &HubHandle {
        hub::of(&self.context.hubs, partition)
    }

    /// Takes up what another node told.
    async fn take_up(&mut self, notice: Notice) {
        match notice {
            Notice::Arrived { partition, tails } => {
                if let Some(handle) = self.context.partitions.get(usize::from(partition.0)) {
                    for (lane, tail) in tails.iter().filter(|(_, tail)| **tail > 0) {
                        handle.appended(lane, *tail);
                    }
                }
            }
            Notice::Changed { citizens } => {
                for citizen in citizens {
                    self.changed(citizen).await;
                }
            }
            Notice::Rung { partition, slots } => self.hub(partition).ring_slots(&slots),
            Notice::Revoked { citizen } => {
                let count = u16::try_from(self.context.partitions.len()).unwrap_or(u16::MAX);
                let hub = self.hub(PartitionId::of(&citizen, count));
                hub.address.cast(HubMessage::Revoke { citizen, done: None });
            }
            Notice::Registered => {
                self.missed.registry = true;
                // At once, since a new key may be used here the next moment; if
                // it cannot be read, before the gate opens again.
                drop(self.read_registry().await);
            }
            Notice::Alert { id } => {
                if self.context.alerts.look(id).await.is_err() {
                    self.missed.alerts = true;
                }
            }
            Notice::Released { partition } => {
                self.context.keeper.cast(KeeperMessage::Free { partition });
            }
            Notice::Erase { request, citizen, if_asked } => self.erase(request, citizen, if_asked),
            Notice::Erased { request, messages } => {
                self.context.eraser.answered(request, messages);
            }
            Notice::Paused { route, until } => {
                if let Some(handle) = self.context.routes.iter().find(|handle| handle.id == route) {
                    handle.address.cast(RouteMessage::PauseUntil(until));
                }
            }
        }
    }

    /// A citizen's record changed.
    async fn changed(&mut self, citizen: FiscalCode) {
        let (done, taken_up) = oneshot::channel();
        if self.home(&citizen).address.cast(PartitionMessage::Changed { citizen, done }) {
            self.under_way.push(taken_up);
        }
        if self.under_way.len() >= UNDER_WAY {
            self.await_partitions().await;
        }
    }

    /// Waits until every partition has taken up what it was told. One that ended
    /// instead starts again from the store.
    async fn await_partitions(&mut self) {
        join_all(self.under_way.drain(..)).await;
    }

    /// Everything told before `sent` was heard: the gate opens for as long as
    /// that is good for, once all of it has been taken up.
    async fn echo(&mut self, sent: Instant) {
        self.metrics.echo(sent.elapsed());
        if let Err(error) = self.catch_up().await {
            tracing::debug!(%error, "what was missed is looked up later");
            return;
        }
        self.await_partitions().await;
        self.context.gate.heard(sent);
    }

    /// Anything may have been told and not heard.
    fn gap(&mut self) {
        self.context.gate.shut();
        self.metrics.gap();
        self.missed = Missed { registry: true, alerts: true, records: true };
        self.context.hubs.iter().for_each(|hub| hub.ring_slots(&[]));
    }

    /// Reads the registry anew, if it changed.
    async fn read_registry(&mut self) -> Result<(), StoreError> {
        if self.missed.registry {
            let _turn = self.context.directory.writing().await;
            self.context.directory.replace(self.context.store.registry().await?);
            self.missed.registry = false;
        }
        Ok(())
    }

    /// Looks up in the store what was missed.
    async fn catch_up(&mut self) -> Result<(), StoreError> {
        self.read_registry().await?;
        if self.missed.alerts {
            self.context.alerts.reconcile().await?;
            self.missed.alerts = false;
        }
        if std::mem::take(&mut self.missed.records) {
            for handle in &*self.context.partitions {
                let (done, taken_up) = oneshot::channel();
                if handle.address.cast(PartitionMessage::Refresh { done }) {
                    self.under_way.push(taken_up);
                }
            }
            // Between the gap and now their inboxes may have changed, too.
            self.context.hubs.iter().for_each(|hub| hub.ring_slots(&[]));
        }
        Ok(())
    }

    /// Somebody wants a citizen erased: the owner of the partition does it.
    fn erase(&mut self, request: u128, citizen: FiscalCode, if_asked: bool) {
        if !self.home(&citizen).lease.holds() || self.erasing.len() >= ERASING {
            return;
        }
        let context = Arc::clone(&self.context);
        self.erasing.spawn(async move {
            let erased = context.eraser.erase_here(citizen, if_asked).await;
            // Not here any more: whoever asked asks again.
            if let Some(erased) = erased {
                let answer = Notice::Erased { request, messages: erased.ok() };
                drop(context.cluster.tell(&[answer]).await);
            }
        });
    }
}
