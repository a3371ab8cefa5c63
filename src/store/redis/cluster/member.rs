//! Signs of life: which nodes there are.
//!
//! Two rows for each node in the shared slot: its view, behind the incarnation
//! of its process, and when it lapses. One script notes a sign, removes what
//! lapsed and answers what is left, so that nodes are listed without a search
//! for keys, and all by the clock of one server.

use std::sync::PoisonError;
use std::time::Duration;

use araldo_actors::domain::node::NodeView;
use araldo_actors::port::cluster::BeatError;
use araldo_actors::port::store::StoreError;

use crate::store::redis::RedisStore;
use crate::store::redis::{reply, script};

/// How long a sign of life is good for.
const LIFE: Duration = Duration::from_secs(5);

/// Length of an incarnation in a row.
const INCARNATION: usize = 32;

fn rows(store: &RedisStore) -> [String; 2] {
    [store.all.key("nodes"), store.all.key("nodes_by_time")]
}

/// What a node told of itself; none: this version cannot read it.
fn read_view(row: &[u8]) -> Option<NodeView> {
    serde_json::from_slice(row.get(INCARNATION..)?).ok()
}

impl RedisStore {
    pub(super) async fn give_sign(&self, own: &NodeView) -> Result<Vec<NodeView>, BeatError> {
        let what = "signs of life";
        let view = serde_json::to_vec(own).map_err(|error| {
            StoreError::Unavailable(format!("the sign of life cannot be written: {error}"))
        })?;
        let incarnation = format!("{:032x}", own.incarnation);
        let mut call = script::call(&script::BEAT, &rows(self));
        call.arg(own.id.as_str()).arg(&incarnation).arg(view).arg(LIFE.as_millis().to_string());
        let mut values = self.write_quickly(&self.all, vec![call]).await?;
        let mut parts = reply::list(reply::next(&mut values), what)?.into_iter();
        if reply::count(reply::next(&mut parts), what)? != 0 {
            return Err(BeatError::NameTaken(own.id.to_string()));
        }
        *self.sign.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((own.id.to_string(), incarnation));
        let mut nodes = Vec::new();
        for row in reply::members(reply::next(&mut parts), what)? {
            match read_view(&row) {
                Some(view) => nodes.push(view),
                // Its leases keep its partitions all the same.
                None => tracing::warn!("a node's sign of life is of another version: left out"),
            }
        }
        nodes.sort_by(|one: &NodeView, other| one.id.cmp(&other.id));
        Ok(nodes)
    }

    pub(super) async fn take_sign_back(&self) -> Result<(), StoreError> {
        let sign = self.sign.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some((name, incarnation)) = sign else { return Ok(()) };
        let mut call = script::call(&script::LEAVE, &rows(self));
        call.arg(name).arg(incarnation);
        self.write_quickly(&self.all, vec![call]).await?;
        Ok(())
    }
}
