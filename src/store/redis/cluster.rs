//! Nodes that share Redis: signs of life, leases, and the bus.
//!
//! Redis' clock decides when a sign of life or a lease lapses, never a node's.
//! What a node must not do without them is decided by the node itself (it counts
//! from before it asked); what it must not write, by the fencing token, which
//! never lapses.
//!
//! # Crash
//!
//! Of a node: its sign of life lapses after [`LIFE`](member), its leases after
//! [`RedisOptions::lease`](super::RedisOptions). Of Redis: leases and signs are
//! data like any other; one that a failover lost is taken or given again, and two
//! who believe that they hold a partition are told apart by the token.

use async_trait::async_trait;
use std::time::Duration;
use tokio::sync::mpsc;

use araldo_actors::domain::id::{Epoch, PartitionId};
use araldo_actors::domain::node::NodeView;
use araldo_actors::domain::notice::Notice;
use araldo_actors::port::cluster::{BeatError, Cluster, Heard};
use araldo_actors::port::store::StoreError;

use super::RedisStore;

mod bus;
mod lease;
mod listener;
mod member;

#[async_trait]
impl Cluster for RedisStore {
    fn lease(&self) -> Duration {
        self.lease
    }

    async fn beat(&self, own: &NodeView) -> Result<Vec<NodeView>, BeatError> {
        self.give_sign(own).await
    }

    async fn leave(&self) -> Result<(), StoreError> {
        self.take_sign_back().await
    }

    async fn renew(&self, held: &[(PartitionId, Epoch)]) -> Vec<Result<bool, StoreError>> {
        self.renew_leases(held).await
    }

    async fn release(&self, partition: PartitionId, epoch: Epoch) -> Result<(), StoreError> {
        self.release_lease(partition, epoch).await
    }

    async fn tell(&self, notices: &[Notice]) -> Result<(), StoreError> {
        self.publish(notices).await
    }

    fn listen(&self) -> mpsc::Receiver<Heard> {
        self.start_listening()
    }
}
