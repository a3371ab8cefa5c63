//! The engine as one node of a cluster: what happens here is told to the others
//! before whoever asked for it is answered.

use futures_util::future::{join, join_all};
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

    /// Records of citizens may be about to change: whatever becomes of the caller,
    /// everybody hears of it.
    pub(super) fn changing(&self, codes: Vec<FiscalCode>) -> Changing<'_> {
        Changing { engine: self, codes }
    }

    /// Records of citizens changed in the store. When this returns, no attempt
    /// starts here against them, and [`FRESH`](crate::cluster::gate::FRESH) later
    /// none on any node.
    async fn citizens_changed(&self, codes: &[FiscalCode]) -> Result<(), StoreError> {
        let changed =
            codes.chunks(CITIZENS).map(|codes| Notice::Changed { citizens: codes.to_vec() });
        let changed: Vec<_> = changed.collect();
        let here = join_all(codes.iter().map(|code| self.taken_up(*code)));
        let told = async { if changed.is_empty() { Ok(()) } else { self.tell(&changed).await } };
        join(told, here).await.0
    }

    /// Waits until the citizen's partition has taken the new record up, if it is
    /// here. While it is being restarted, tickets of the old generation might
    /// still start: so a new one must have answered.
    async fn taken_up(&self, citizen: FiscalCode) {
        let home = self.partition_of(&citizen);
        loop {
            let (done, taken_up) = oneshot::channel();
            let told = PartitionMessage::Changed { citizen, done };
            let known = home.address.cast(told) && taken_up.await.is_ok();
            if known || !home.lease.holds() {
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

    /// How old the last echo of this node's own voice is; none when there is
    /// nobody to hear.
    #[must_use]
    pub fn echo_age(&self) -> Option<Duration> {
        self.0.membership.as_ref().map(|_| self.0.gate.age())
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

/// Records that are being changed. Dropped before everybody was told, by a caller
/// who gave up or by an error that leaves open what was written, it has the others
/// told by and by, and the partition here at once.
pub(super) struct Changing<'a> {
    engine: &'a Engine,
    codes: Vec<FiscalCode>,
}

impl Changing<'_> {
    /// Nothing was written.
    pub(super) fn nothing(mut self) {
        self.codes.clear();
    }

    /// These were written: tells everybody.
    ///
    /// # Errors
    /// As [`Engine::tell`].
    pub(super) async fn written(mut self, codes: &[FiscalCode]) -> Result<(), StoreError> {
        self.codes = codes.to_vec();
        self.engine.citizens_changed(codes).await?;
        self.codes.clear();
        Ok(())
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        for citizen in self.codes.drain(..) {
            let (done, _) = oneshot::channel();
            let home = self.engine.partition_of(&citizen);
            home.address.cast(PartitionMessage::Changed { citizen, done });
            self.engine.0.outbox.changed(citizen);
        }
    }
}
