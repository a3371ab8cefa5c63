//! The cluster: what nodes that share a store need to know of each other.
//!
//! Three things. *Signs of life* say which nodes there are; from them each node
//! reckons by itself which partitions are meant for whom. *Leases* say who may
//! work on a partition: taken with [`Store::open_partition`], renewed here; they
//! keep two nodes from doing the same work, while the fencing token of the store
//! keeps a node that lost its lease from writing. *Notices* carry over the
//! moment what happened on one node and matters on another.
//!
//! [`Store::open_partition`]: super::store::Store::open_partition

use async_trait::async_trait;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::domain::id::{Epoch, PartitionId};
use crate::domain::node::NodeView;
use crate::domain::notice::Notice;
use crate::port::store::StoreError;

/// Why a node is not one of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeatError {
    /// Another living process has its name.
    #[error("another process is node '{0}': every node needs a name of its own (node.id)")]
    NameTaken(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a node hears, in the order in which it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A notice of another node.
    Notice(Notice),
    /// The node's own voice came back: everything told before `sent` was heard.
    Echo {
        /// When it was sent.
        sent: Instant,
    },
    /// Notices may have been missed: look at the store.
    Gap,
}

/// See the module's text.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// How long a lease lasts unless it is renewed.
    fn lease(&self) -> Duration;

    /// Gives a sign of life, good for some seconds, and returns the nodes that
    /// live, this one among them, in the order of their names.
    ///
    /// # Errors
    /// [`BeatError`].
    async fn beat(&self, own: &NodeView) -> Result<Vec<NodeView>, BeatError>;

    /// Takes the sign of life back: this node is gone.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unconfirmed`]; it lapses by
    /// itself then.
    async fn leave(&self) -> Result<(), StoreError>;

    /// Renews leases. Returns for each whether it is held, in the same order: a
    /// lease that lapsed or whose partition was taken over under a newer epoch
    /// is not.
    ///
    /// # Errors
    /// By item [`StoreError::Unavailable`] or [`StoreError::Unconfirmed`]: it is
    /// not known then.
    async fn renew(&self, held: &[(PartitionId, Epoch)]) -> Vec<Result<bool, StoreError>>;

    /// Gives a lease back, if it is held under `epoch`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unconfirmed`]; it lapses by
    /// itself then.
    async fn release(&self, partition: PartitionId, epoch: Epoch) -> Result<(), StoreError>;

    /// Tells all other nodes. When this returns, every node that hears an echo
    /// of its own sent after it has heard this.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unconfirmed`]: some may have
    /// heard it.
    async fn tell(&self, notices: &[Notice]) -> Result<(), StoreError>;

    /// What the others tell from now on, and some times a second an echo of this
    /// node's own voice as long as it can be heard. Bounded: whoever is too slow
    /// to listen gets a [`Heard::Gap`]. Ends never; called once.
    fn listen(&self) -> mpsc::Receiver<Heard>;
}
