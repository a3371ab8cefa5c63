//! The nodes that live, as last heard of.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;
use tokio::time::Instant;

use crate::domain::lane::ByLane;
use crate::domain::node::NodeView;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Peers(RwLock<(Option<Instant>, Vec<NodeView>)>);

impl Peers {
    pub(crate) fn set(&self, views: Vec<NodeView>) {
        let heard = Some(Instant::now());
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = (heard, views);
    }

    /// How long ago that was; none: never.
    pub fn heard_ago(&self) -> Option<Duration> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).0.map(|heard| heard.elapsed())
    }

    /// All of them, this one included.
    pub fn all(&self) -> Vec<NodeView> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// Messages that wait for their turn on nodes other than `own`.
    pub fn waiting_elsewhere(&self, own: u128) -> ByLane<u64> {
        let peers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let others = peers.1.iter().filter(|view| view.incarnation != own);
        others.fold(ByLane::default(), |sum, view| {
            ByLane::from_fn(|lane| sum[lane] + view.messages[lane])
        })
    }
}
