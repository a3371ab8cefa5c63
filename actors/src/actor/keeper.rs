//! The keeper: has the partitions that are meant for this node, and no others.
//!
//! Gives a sign of life every second and reckons from those of the others which
//! partitions are its own (`policy/ownership`). What it should have and has not
//! it opens, as soon as the store lets it: another node's lease may have to lapse
//! first. What it should not have it drains and gives back. What it has it renews
//! the lease of; a partition whose lease is lost ends at once, with all it had in
//! hand.
//!
//! It does not wait for anything itself: whatever may take time (the store, the
//! opening and the draining of a partition) is a task that it owns and comes back
//! as a message, so that no slow partition keeps another's lease from being
//! renewed. A partition that ends because the store fails is opened again for as
//! long as it takes; one that ends for another reason counts, and too many of
//! those end the keeper and the process. If the keeper crashes its partitions end
//! with it, and the next one takes them up again from the store.

mod life;
mod slot;
mod work;

use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::actor::partition;
use crate::board::Board;
use crate::cluster::{Outbox, Peers};
use crate::domain::id::{Epoch, NodeId, PartitionId};
use crate::domain::node::NodeView;
use crate::message::hub::HubHandle;
use crate::metric::ClusterMetrics;
use crate::pipeline::NodeOptions;
use crate::policy::ownership;
use crate::policy::restart::{Intensity, RestartWindow};
use crate::port::clock::Clock;
use crate::port::cluster::{BeatError, Cluster};
use crate::port::store::StoreError;
use crate::supervise::Address;

use slot::Slot;

/// Between signs of life.
const BEAT: Duration = Duration::from_secs(1);
/// How long a name may be taken by the process that had it before: its last
/// sign of life lapses.
const NAME_LIMIT: Duration = Duration::from_secs(12);
/// Leases are renewed this often in their time.
const RENEWALS: u32 = 5;
/// Own signs of life that stayed away for so long: the others' may not be back
/// yet, either.
const SILENT: Duration = Duration::from_secs(5);
/// How long others get to come back then, before what may be theirs is taken.
const COURTESY: Duration = Duration::from_secs(2);
/// Between tries to join.
const PAUSE: Duration = Duration::from_millis(500);
/// Partitions opened at one time: each reads its journals.
const OPENING: usize = 8;

/// A failure ends the keeper.
type Outcome = Result<(), ActorProcessingErr>;

/// What every keeper starts from.
pub(crate) struct Context {
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) node: NodeOptions,
    pub(crate) slices: Vec<Arc<partition::Context>>,
    pub(crate) board: Arc<Board>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) hubs: Arc<[HubHandle]>,
    pub(crate) intensity: Intensity,
    pub(crate) address: Address<KeeperMessage>,
    /// This process was told to leave: whichever keeper lives does.
    pub(crate) leaving: AtomicBool,
    /// Counts every partition started, so that no two are of one generation.
    pub(crate) generations: AtomicU64,
}

/// Mailbox of the keeper. Bounded: one beat, one renewal, and for each partition
/// one thing under way at a time.
pub(crate) enum KeeperMessage {
    /// Time for a sign of life.
    Beat,
    /// It was given, or not.
    Beaten(Result<Vec<NodeView>, BeatError>),
    /// Time to renew.
    Renew,
    /// What became of the leases.
    Renewed {
        /// When they were asked for.
        asked: Instant,
        /// Which.
        held: Vec<(PartitionId, Epoch)>,
        /// Whether each is still held.
        answers: Vec<Result<bool, StoreError>>,
    },
    /// A partition was started, or not.
    Opened {
        /// Which.
        partition: PartitionId,
        /// The actor, or why there is none.
        opened: Result<ActorCell, ActorProcessingErr>,
    },
    /// A partition that is given back has nothing in hand any more; false: it
    /// took too long.
    Drained {
        /// Which.
        partition: PartitionId,
        /// In time.
        whole: bool,
    },
    /// A partition is free, somebody says.
    Free {
        /// Which.
        partition: PartitionId,
    },
    /// A lease was given back, or lapses by itself.
    Released {
        /// Of which partition.
        partition: PartitionId,
    },
    /// The sign of life was taken back.
    Gone,
    /// This node is about to leave.
    Leave {
        /// Answered when it has given everything back.
        done: oneshot::Sender<()>,
    },
}

/// The actor.
pub(crate) struct Keeper;

/// See the module's text.
pub(crate) struct State {
    context: Arc<Context>,
    myself: ActorRef<KeeperMessage>,
    started: crate::domain::time::Millis,
    slots: Vec<Slot>,
    /// The nodes that partitions are meant for.
    living: Vec<NodeId>,
    beating: bool,
    /// When a sign of life was given last, and since when the name is another's.
    beaten_at: Instant,
    nameless_since: Option<Instant>,
    /// Nothing is taken over before.
    not_before: Instant,
    renewing: bool,
    /// Ends of partitions not yet known to be open.
    early: Vec<(ActorId, ActorProcessingErr)>,
    opening: Arc<Semaphore>,
    window: RestartWindow,
    leaving: Vec<oneshot::Sender<()>>,
    /// Leases being given back.
    releasing: usize,
    /// The sign of life is being taken back.
    gone: bool,
    tasks: JoinSet<()>,
    metrics: ClusterMetrics,
}

impl Actor for Keeper {
    type Msg = KeeperMessage;
    type State = State;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        myself: ActorRef<KeeperMessage>,
        context: Arc<Context>,
    ) -> Result<State, ActorProcessingErr> {
        context.address.set(myself.clone());
        // A keeper before this one may have left some behind.
        context.slices.iter().for_each(|slice| slice.lease().cut());
        let mut state = State {
            started: context.clock.now(),
            slots: context.slices.iter().map(|_| Slot::default()).collect(),
            living: Vec::new(),
            beating: false,
            beaten_at: Instant::now(),
            nameless_since: None,
            not_before: Instant::now(),
            renewing: false,
            early: Vec::new(),
            opening: Arc::new(Semaphore::new(OPENING)),
            window: RestartWindow::new(context.intensity),
            leaving: Vec::new(),
            releasing: 0,
            gone: false,
            tasks: JoinSet::new(),
            metrics: ClusterMetrics::new(),
            myself: myself.clone(),
            context,
        };
        let living = state.join().await?;
        state.beaten(Ok(living))?;
        myself.send_after(BEAT, || KeeperMessage::Beat);
        myself.send_after(state.context.cluster.lease() / RENEWALS, || KeeperMessage::Renew);
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<KeeperMessage>,
        message: KeeperMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            KeeperMessage::Beat => {
                myself.send_after(BEAT, || KeeperMessage::Beat);
                state.cut_lapsed();
                state.beat();
                state.assign();
            }
            KeeperMessage::Beaten(living) => state.beaten(living)?,
            KeeperMessage::Renew => {
                let period = state.context.cluster.lease() / RENEWALS;
                myself.send_after(period, || KeeperMessage::Renew);
                state.renew();
            }
            KeeperMessage::Renewed { asked, held, answers } => {
                state.renewed(asked, &held, answers);
            }
            KeeperMessage::Opened { partition, opened } => state.opened(partition, opened)?,
            KeeperMessage::Drained { partition, whole } => state.drained(partition, whole),
            KeeperMessage::Free { partition } => {
                if let Some(slot) = state.slots.get_mut(usize::from(partition.0)) {
                    slot.retry_now();
                }
                state.assign();
            }
            KeeperMessage::Released { partition } => {
                state.releasing = state.releasing.saturating_sub(1);
                tracing::debug!(%partition, "given back");
            }
            KeeperMessage::Gone => state.told_gone(),
            KeeperMessage::Leave { done } => {
                state.leaving.push(done);
                state.context.leaving.store(true, Ordering::Release);
                state.beat();
                state.assign();
            }
        }
        state.reap()?;
        state.rest_if_gone();
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<KeeperMessage>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (who, failure) = match event {
            SupervisionEvent::ActorFailed(who, error) => (who, Some(error)),
            SupervisionEvent::ActorTerminated(who, ..) => (who, None),
            _ => return Ok(()),
        };
        state.ended(&who, failure)?;
        state.rest_if_gone();
        Ok(())
    }
}

impl State {
    /// The first sign of life. The name may still be that of the process before,
    /// which did not come to taking its last sign back.
    async fn join(&self) -> Result<Vec<NodeView>, ActorProcessingErr> {
        let since = Instant::now();
        loop {
            match self.context.cluster.beat(&self.view()).await {
                Ok(living) => return Ok(living),
                Err(error) if since.elapsed() >= NAME_LIMIT => return Err(error.into()),
                Err(error) => tracing::info!(%error, "waiting to join the cluster"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Collects finished tasks; one that panicked ends the keeper.
    fn reap(&mut self) -> Result<(), ActorProcessingErr> {
        while let Some(ended) = self.tasks.try_join_next() {
            ended?;
        }
        Ok(())
    }

    fn is_leaving(&self) -> bool {
        self.context.leaving.load(Ordering::Acquire)
    }

    fn slice(&self, partition: PartitionId) -> &Arc<partition::Context> {
        &self.context.slices[usize::from(partition.0)]
    }

    /// Takes up who lives.
    fn beaten(&mut self, living: Result<Vec<NodeView>, BeatError>) -> Outcome {
        self.beating = false;
        match living {
            Ok(views) => {
                if self.beaten_at.elapsed() >= SILENT {
                    self.not_before = Instant::now() + COURTESY;
                }
                (self.beaten_at, self.nameless_since) = (Instant::now(), None);
                let marked = |view: &NodeView| {
                    view.incarnation == self.context.node.incarnation && view.leaving
                };
                if self.is_leaving() && !views.iter().any(marked) {
                    self.beat();
                }
                let stays = |view: &&NodeView| !view.leaving;
                self.live(views.iter().filter(stays).map(|view| view.id.clone()).collect());
                self.metrics.nodes(views.len());
                self.context.peers.set(views);
            }
            Err(error) => {
                self.metrics.missed_beat();
                tracing::warn!(%error, "no sign of life could be given");
                if matches!(error, BeatError::NameTaken(_)) {
                    // Whoever has the name has what is meant for it.
                    self.live(Vec::new());
                    let since = *self.nameless_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= NAME_LIMIT {
                        return Err(error.into());
                    }
                }
            }
        }
        self.assign();
        Ok(())
    }

    /// These nodes live.
    fn live(&mut self, living: Vec<NodeId>) {
        if living != self.living {
            let names: Vec<_> = living.iter().map(NodeId::as_str).collect();
            tracing::info!(nodes = names.join(" "), "the nodes that live");
            self.living = living;
        }
    }

    /// Ends what is under way of partitions whose leases have ended.
    fn cut_lapsed(&self) {
        for (slot, slice) in self.slots.iter().zip(&self.context.slices) {
            if slot.hold().is_some() && slice.lease().is_over() {
                tracing::warn!(partition = %slice.id, "the lease was not renewed in time");
                slice.lease().cut();
            }
        }
    }

    /// Whether a partition is meant for this node.
    fn is_meant(&self, partition: PartitionId) -> bool {
        !self.is_leaving()
            && ownership::owner(partition, &self.living) == Some(&self.context.node.id)
    }

    /// Opens what is missing and gives back what is too much.
    fn assign(&mut self) {
        let now = Instant::now();
        for number in 0..self.slots.len() {
            let partition = self.context.slices[number].id;
            let meant = self.is_meant(partition);
            match &self.slots[number] {
                Slot::Free { not_before } if meant && self.not_before.max(*not_before) <= now => {
                    self.open(partition);
                }
                Slot::Held(_) if !meant => self.give_back(partition),
                _ => {}
            }
        }
    }

    /// What became of the leases.
    fn renewed(
        &mut self,
        asked: Instant,
        held: &[(PartitionId, Epoch)],
        answers: Vec<Result<bool, StoreError>>,
    ) {
        self.renewing = false;
        for ((partition, epoch), answer) in held.iter().zip(answers) {
            let number = usize::from(partition.0);
            if self.slice(*partition).epoch() != *epoch {
                continue;
            }
            match answer {
                Ok(true) => {
                    let (lease, lasts) =
                        (self.slice(*partition).lease(), self.context.cluster.lease());
                    match self.slots[number] {
                        Slot::Held(_) => lease.renew(asked, lasts),
                        Slot::Leaving { .. } => lease.extend(asked, lasts),
                        _ => {}
                    }
                }
                Ok(false) => {
                    tracing::warn!(%partition, "the lease is lost");
                    self.metrics.lost_lease();
                    self.drop_partition(*partition);
                }
                Err(error) => tracing::debug!(%partition, %error, "lease not renewed"),
            }
        }
    }

    fn held(&self) -> usize {
        self.slots.iter().filter(|slot| slot.hold().is_some()).count()
    }

    /// Takes the sign of life back, once this node has nothing any more.
    fn rest_if_gone(&mut self) {
        let free = |slot: &Slot| matches!(slot, Slot::Free { .. });
        let empty = self.releasing == 0 && self.slots.iter().all(free);
        // Not before the last sign of life is back: it would come after the end.
        let rests = self.is_leaving() && empty && !self.beating;
        if rests && !std::mem::replace(&mut self.gone, true) {
            self.take_leave();
        }
    }

    fn told_gone(&mut self) {
        for done in self.leaving.drain(..) {
            // The caller may have given up waiting.
            let _ = done.send(());
        }
    }

    /// What this node tells the others of itself.
    fn view(&self) -> NodeView {
        let Context { node, board, .. } = &*self.context;
        NodeView {
            id: node.id.clone(),
            incarnation: node.incarnation,
            address: node.address.clone(),
            version: node.version.clone(),
            started_at: self.started,
            leaving: self.is_leaving(),
            partitions: self.holdings(),
            messages: board.waiting(),
            deliveries: board.pending_deliveries(),
            routes: board.routes(),
        }
    }
}

/// The generation of the next partition started.
fn next_generation(context: &Context) -> u64 {
    context.generations.fetch_add(1, Ordering::Relaxed)
}
