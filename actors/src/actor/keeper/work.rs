//! What the keeper has done for it, each as a task of its own.

use futures_util::FutureExt;
use ractor::{Actor, SpawnErr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::{KeeperMessage, Slot, State, next_generation};
use crate::actor::partition::Partition;
use crate::cluster::lease::longest_attempt;
use crate::domain::id::{Epoch, PartitionId};
use crate::domain::node::Holding;
use crate::domain::notice::Notice;
use crate::message::partition::PartitionMessage;

/// How much longer than an attempt a partition that is given back gets for what
/// it has in hand: a push takes no longer. A mail that does is cut off, and
/// repeated by the next owner under the same id once the lease has lapsed.
const BEYOND: Duration = Duration::from_secs(2);

impl State {
    /// Gives a sign of life.
    pub(super) fn beat(&mut self) {
        if self.gone || std::mem::replace(&mut self.beating, true) {
            return;
        }
        let (cluster, myself) = (Arc::clone(&self.context.cluster), self.myself.clone());
        let view = self.view();
        self.tasks.spawn(async move {
            let beaten = cluster.beat(&view).await;
            // Fails only when the keeper is gone, and its partitions with it.
            let _ = myself.cast(KeeperMessage::Beaten(beaten));
        });
    }

    /// Renews the leases of all that is held.
    pub(super) fn renew(&mut self) {
        let held: Vec<_> = self.holdings().iter().map(|one| (one.partition, one.epoch)).collect();
        if held.is_empty() || std::mem::replace(&mut self.renewing, true) {
            return;
        }
        let (cluster, myself) = (Arc::clone(&self.context.cluster), self.myself.clone());
        self.tasks.spawn(async move {
            let asked = Instant::now();
            let answers = cluster.renew(&held).await;
            // As above.
            let _ = myself.cast(KeeperMessage::Renewed { asked, held, answers });
        });
    }

    /// Takes a partition over.
    pub(super) fn open(&mut self, partition: PartitionId) {
        self.slots[usize::from(partition.0)] = Slot::Opening;
        let slice = Arc::clone(self.slice(partition));
        let (myself, opening) = (self.myself.clone(), Arc::clone(&self.opening));
        let generation = next_generation(&self.context);
        self.tasks.spawn(async move {
            let keeper = myself.get_cell();
            let open = async {
                let _turn = opening.acquire().await;
                let started = Actor::spawn_linked(None, Partition, (slice, generation), keeper);
                match started.await {
                    Ok((actor, _)) => Ok(actor.get_cell()),
                    Err(SpawnErr::StartupFailed(cause)) => Err(cause),
                    Err(other) => Err(other.into()),
                }
            };
            let opened = AssertUnwindSafe(open).catch_unwind().await;
            let opened = opened.unwrap_or_else(|_| Err("its start panicked".into()));
            let _ = myself.cast(KeeperMessage::Opened { partition, opened });
        });
    }

    /// Begins to give a partition back: nothing of it starts any more.
    pub(super) fn give_back(&mut self, partition: PartitionId) {
        let number = usize::from(partition.0);
        let slot = std::mem::take(&mut self.slots[number]);
        let Slot::Held(hold) = slot else {
            self.slots[number] = slot;
            return;
        };
        self.slots[number] = Slot::Leaving { hold, whole: false };
        let slice = Arc::clone(self.slice(partition));
        slice.lease().give_up();
        let (done, drained) = oneshot::channel();
        slice.address().cast(PartitionMessage::Drain { done });
        let myself = self.myself.clone();
        let patience = longest_attempt(self.context.cluster.lease()) + BEYOND;
        self.tasks.spawn(async move {
            let whole = matches!(timeout(patience, drained).await, Ok(Ok(())));
            let _ = myself.cast(KeeperMessage::Drained { partition, whole });
        });
    }

    /// Ends a partition that somebody else may have by now.
    pub(super) fn drop_partition(&mut self, partition: PartitionId) {
        self.slice(partition).lease().cut();
        let number = usize::from(partition.0);
        match std::mem::take(&mut self.slots[number]) {
            Slot::Held(hold) | Slot::Leaving { hold, .. } | Slot::Lost(hold) => {
                hold.stop();
                self.slots[number] = Slot::Lost(hold);
            }
            slot => self.slots[number] = slot,
        }
    }

    /// Gives the lease of a partition back, whose actor has ended.
    pub(super) fn release(&mut self, partition: PartitionId, epoch: Epoch) {
        self.releasing += 1;
        let (cluster, myself) = (Arc::clone(&self.context.cluster), self.myself.clone());
        self.tasks.spawn(async move {
            match cluster.release(partition, epoch).await {
                // Who does not hear of it tries again by and by.
                Ok(()) => drop(cluster.tell(&[Notice::Released { partition }]).await),
                Err(error) => {
                    tracing::warn!(%partition, %error, "lease not given back; it lapses");
                }
            }
            let _ = myself.cast(KeeperMessage::Released { partition });
        });
    }

    /// Takes the sign of life back.
    pub(super) fn take_leave(&mut self) {
        let (cluster, myself) = (Arc::clone(&self.context.cluster), self.myself.clone());
        self.tasks.spawn(async move {
            if let Err(error) = cluster.leave().await {
                tracing::info!(%error, "the last sign of life lapses");
            }
            let _ = myself.cast(KeeperMessage::Gone);
        });
    }

    /// What this node has, for the others to see.
    pub(super) fn holdings(&self) -> Vec<Holding> {
        let held = self.slots.iter().zip(&self.context.slices);
        let held = held.filter(|(slot, _)| matches!(slot, Slot::Held(_) | Slot::Leaving { .. }));
        held.map(|(_, slice)| Holding {
            partition: slice.id,
            epoch: slice.epoch(),
            lag: self.context.board.partition(slice.id.0).waiting(),
            lease_ms: u64::try_from(slice.lease().left().as_millis()).unwrap_or(u64::MAX),
        })
        .collect()
    }
}
