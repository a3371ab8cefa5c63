//! The herald: takes up what the other nodes tell.
//!
//! In order, one after the other: when this node's own voice comes back, what was
//! told before it has been taken up, and only then does it open the gate for
//! another second. Holds nothing that is not in the store: whatever may have been
//! missed is looked up there, with the gate shut until it is. If the herald
//! crashes the gate closes by itself, and the next one looks everything up.

mod erasures;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

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

use erasures::{Erasures, Request};

/// Between warnings that nothing starts.
const WARNINGS: Duration = Duration::from_secs(1);
/// Requests of other nodes being carried out or answered again.
const ERASING: usize = 128;
/// For something to be told, before a look at the mailbox.
const PATIENCE: Duration = Duration::from_millis(500);

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
    /// Citizens whose partition is here and could not be told of a change.
    untold: Vec<FiscalCode>,
    /// An echo, and the partitions that it waits for.
    opening: Option<(Instant, BoxFuture<'static, ()>)>,
    /// Requests of other nodes under way, and what became of those before.
    requests: Erasures,
    erasing: JoinSet<(u128, Option<Option<u64>>)>,
    warned_at: Option<Instant>,
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
            untold: Vec::new(),
            opening: None,
            requests: Erasures::default(),
            erasing: JoinSet::new(),
            warned_at: None,
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
        let heard = tokio::select! {
            biased;
            sent = opened(&mut state.opening) => {
                context.gate.heard(sent);
                None
            }
            heard = async { context.told.lock().await.recv().await } => match heard {
                // The store is closing, and this process with it.
                None => return Ok(()),
                heard => heard,
            },
            // It may be told to end.
            () = sleep(PATIENCE) => None,
        };
        match heard {
            Some(Heard::Notice(notice)) => state.take_up(notice).await,
            Some(Heard::Echo { sent }) => state.echo(sent).await,
            Some(Heard::Gap) => state.gap(),
            None => {}
        }
        state.requests.reap(&mut state.erasing);
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
                citizens.into_iter().for_each(|citizen| self.changed(citizen));
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
    fn changed(&mut self, citizen: FiscalCode) {
        let (done, taken_up) = oneshot::channel();
        let told = PartitionMessage::Changed { citizen, done };
        if self.home(&citizen).address.cast(told) {
            self.under_way.push(taken_up);
        } else if self.home(&citizen).lease.holds() {
            // Its actor has just ended; its tickets may still start.
            self.untold.push(citizen);
        }
    }

    /// Everything told before `sent` was heard: the gate opens for as long as
    /// that is good for, once all of it has been taken up. One echo waits for
    /// that at a time; others come soon.
    async fn echo(&mut self, sent: Instant) {
        self.metrics.echo(sent.elapsed());
        if self.opening.is_some() {
            return;
        }
        if let Err(error) = self.catch_up().await {
            if self.warned_at.is_none_or(|at| at.elapsed() >= WARNINGS) {
                self.warned_at = Some(Instant::now());
                tracing::warn!(%error, "nothing starts: what was missed cannot be looked up");
            }
            return;
        }
        for citizen in std::mem::take(&mut self.untold) {
            self.changed(citizen);
        }
        if self.untold.is_empty() {
            // A partition that ends instead starts again from the store.
            let taken_up = join_all(self.under_way.drain(..)).map(drop).boxed();
            self.opening = Some((sent, taken_up));
        }
    }

    /// Anything may have been told and not heard.
    fn gap(&mut self) {
        self.context.gate.shut();
        self.opening = None;
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
        let known = match self.requests.begin(request) {
            Request::UnderWay => return,
            Request::New => None,
            Request::Done(messages) => Some(messages),
        };
        self.erasing.spawn(async move {
            let erased = match known {
                Some(messages) => Some(messages),
                None => context.eraser.erase_here(citizen, if_asked).await.map(Result::ok),
            };
            // None: not here any more, and whoever asked asks again.
            if let Some(messages) = erased {
                drop(context.cluster.tell(&[Notice::Erased { request, messages }]).await);
            }
            (request, erased)
        });
    }
}

/// Waits for what an echo waits for; for ever without one.
async fn opened(opening: &mut Option<(Instant, BoxFuture<'static, ()>)>) -> Instant {
    let Some((sent, taken_up)) = opening else { return std::future::pending().await };
    taken_up.await;
    let sent = *sent;
    *opening = None;
    sent
}
