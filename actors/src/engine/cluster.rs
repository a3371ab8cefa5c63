//! The engine as one node of a cluster: what happens here is told to the others
//! before whoever asked for it is answered.

use futures_util::future::join_all;
use std::time::Duration;
use tokio::sync::oneshot;

use super::Engine;
use crate::domain::books::Books;
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::id::PartitionId;
use crate::domain::lane::ByLane;
use crate::domain::node::NodeView;
use crate::domain::notice::Notice;
use crate::message::partition::PartitionMessage;
use crate::port::store::StoreError;

/// Between looks at a partition that is being restarted.
const RESTART_PAUSE: Duration = Duration::from_millis(20);
/// Citizens named in one notice.
const CITIZENS: usize = 500;

impl Engine {
    /// Tells the other nodes, if there are any, of what is durable already.
    ///
    /// # Errors
    /// [`StoreError::Unconfirmed`]: some of them may not know it yet.
    pub(super) async fn tell(&self, notices: &[Notice]) -> Result<(), StoreError> {
        let Some(membership) = &self.0.membership else { return Ok(()) };
        membership.cluster.tell(notices).await.map_err(|error| {
            StoreError::Unconfirmed(format!("stored, but the other nodes were not told: {error}"))
        })
    }

    /// Records of citizens changed in the store. When this returns, no attempt
    /// starts here against them, and [`FRESH`](crate::cluster::gate::FRESH) later
    /// none on any node.
    pub(super) async fn citizens_changed(&self, codes: &[FiscalCode]) -> Result<(), StoreError> {
        let changed =
            codes.chunks(CITIZENS).map(|codes| Notice::Changed { citizens: codes.to_vec() });
        let changed: Vec<_> = changed.collect();
        if !changed.is_empty() {
            self.tell(&changed).await?;
        }
        join_all(codes.iter().map(|code| self.taken_up(*code))).await;
        Ok(())
    }

    /// Waits until the citizen's partition has taken the new record up, if it is
    /// here. While it is being restarted, tickets of the old generation might
    /// still start: so a new one must have answered.
    async fn taken_up(&self, citizen: FiscalCode) {
        let home = self.partition_of(&citizen);
        while home.lease.holds() {
            let (done, taken_up) = oneshot::channel();
            let told = PartitionMessage::Changed { citizen, done };
            if home.address.cast(told) && taken_up.await.is_ok() {
                return;
            }
            tokio::time::sleep(RESTART_PAUSE).await;
        }
    }

    /// Messages of all nodes that wait for their turn, as last heard of.
    pub(super) fn waiting(&self) -> ByLane<u64> {
        let here = self.0.board.waiting();
        let Some(membership) = &self.0.membership else { return here };
        let elsewhere = self.0.peers.waiting_elsewhere(membership.node.incarnation);
        ByLane::from_fn(|lane| here[lane] + elsewhere[lane])
    }

    /// Whether messages are taken and worked on: every partition has been taken
    /// over; among other nodes, this one hears them.
    #[must_use]
    pub fn is_accepting(&self) -> bool {
        match &self.0.membership {
            None => self.0.board.all_open(),
            Some(_) => self.0.gate.is_open(),
        }
    }

    /// The nodes that live as last heard of, this one among them and by what it
    /// knows of itself; none when this process is the only one there can be.
    #[must_use]
    pub fn cluster(&self) -> Vec<NodeView> {
        let Some(membership) = &self.0.membership else { return Vec::new() };
        let mut views = self.0.peers.all();
        for view in &mut views {
            if view.incarnation == membership.node.incarnation {
                view.messages = self.0.board.waiting();
                view.deliveries = self.0.board.pending_deliveries();
                view.routes = self.0.board.routes();
            }
        }
        views
    }

    /// How long ago it was last heard who lives; none when this process is the
    /// only one there can be, or has heard nothing yet.
    #[must_use]
    pub fn heard_ago(&self) -> Option<Duration> {
        self.0.membership.as_ref().and_then(|_| self.0.peers.heard_ago())
    }

    /// Partitions of the store.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        self.count()
    }

    /// What waits for its turn in each partition that this process has taken
    /// over.
    #[must_use]
    pub fn own_lags(&self) -> Vec<(PartitionId, u64)> {
        let open = |partition: &PartitionId| self.0.board.is_open(*partition);
        let own = (0..self.count()).map(PartitionId).filter(open);
        own.map(|partition| (partition, self.0.board.partition(partition.0).waiting())).collect()
    }

    /// Messages whose turn is not recorded and deliveries without an outcome, on
    /// all nodes as last heard of.
    #[must_use]
    pub fn pending(&self) -> (u64, u64) {
        match self.cluster().as_slice() {
            [] => (self.0.board.pending_messages(), self.0.board.pending_deliveries()),
            views => views.iter().fold((0, 0), |(messages, deliveries), view| {
                (messages + view.messages.values().sum::<u64>(), deliveries + view.deliveries)
            }),
        }
    }

    /// The partitions that are this process'.
    #[must_use]
    pub fn owned(&self) -> Vec<PartitionId> {
        let open = |partition: &PartitionId| self.0.board.is_open(*partition);
        (0..self.count()).map(PartitionId).filter(open).collect()
    }

    /// The books of the partitions that are this process': what its own counts
    /// can be held against.
    ///
    /// # Errors
    /// As [`Store::books`](crate::port::store::Store::books).
    pub async fn own_books(&self) -> Result<Books, StoreError> {
        self.0.store.books(&self.owned()).await
    }
}
