//! Erasing a citizen, seen from whoever asks: the request goes to the
//! citizen's partition, on this node or another, and is asked again when that is
//! restarted or moves meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::domain::fiscal_code::FiscalCode;
use crate::domain::notice::Notice;
use crate::message::partition::{self, Erase, PartitionHandle, PartitionMessage, TooManyErasures};
use crate::port::cluster::Cluster;
use crate::port::rng::Rng;
use crate::port::store::StoreError;

/// Between looks at a partition that is being restarted.
const RESTART_PAUSE: Duration = Duration::from_millis(20);
/// Before other nodes are asked again: longer than an attempt, whose end an
/// erasure waits for.
const ANSWER: Duration = Duration::from_secs(10);

/// The key under which records of erasures name their subject: 32 secret
/// bytes, the same for the life of the installation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ErasureKey(pub [u8; 32]);

impl ErasureKey {
    /// What the record of an erasure calls `citizen`: proves an answer to
    /// whoever knows the fiscal code and holds the key, says nothing to others.
    #[must_use]
    pub fn subject(&self, citizen: &FiscalCode) -> [u8; 32] {
        blake3::keyed_hash(&self.0, citizen.as_bytes()).into()
    }
}

/// A key is never printed.
impl std::fmt::Debug for ErasureKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ErasureKey(..)")
    }
}

/// Requests that other nodes are asked to carry out.
#[derive(Default)]
pub(crate) struct Requests(Mutex<HashMap<u128, oneshot::Sender<Option<u64>>>>);

impl Requests {
    fn lock(&self) -> MutexGuard<'_, HashMap<u128, oneshot::Sender<Option<u64>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits for its answer; none waits once this is gone.
struct Asking<'a>(&'a Requests, u128);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

/// Has citizens erased by their partitions, on whichever node these are.
#[derive(Clone)]
pub(crate) struct Eraser {
    pub(crate) key: ErasureKey,
    pub(crate) partitions: Arc<[PartitionHandle]>,
    pub(crate) cluster: Option<Arc<dyn Cluster>>,
    pub(crate) rng: Arc<dyn Rng>,
    pub(crate) requests: Arc<Requests>,
}

fn too_many() -> StoreError {
    StoreError::Unavailable("too many citizens wait to be erased".into())
}

impl Eraser {
    /// Removes every row of `citizen`, once what is in flight has ended.
    /// `if_asked` leaves alone whoever has no pending request for it (any
    /// more). Returns the number of messages removed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when too many wait to be erased, or the other
    /// nodes cannot be told.
    pub(crate) async fn erase(
        &self,
        citizen: FiscalCode,
        if_asked: bool,
    ) -> Result<u64, StoreError> {
        // The same for every try: the owner knows it again.
        let request = self.rng.bits();
        loop {
            if let Some(erased) = self.erase_here(citizen, if_asked).await {
                return erased.map_err(|TooManyErasures| too_many());
            }
            if let Some(cluster) = &self.cluster
                && let Some(erased) =
                    self.erase_there(&**cluster, request, citizen, if_asked).await?
            {
                return erased.ok_or_else(too_many);
            }
            tokio::time::sleep(RESTART_PAUSE).await;
        }
    }

    /// Whether the partition of `citizen` is this process' to work on.
    pub(crate) fn is_here(&self, citizen: &FiscalCode) -> bool {
        partition::home(&self.partitions, citizen).lease.holds()
    }

    /// The same where the partition is this process'; none when it is not.
    pub(crate) async fn erase_here(
        &self,
        citizen: FiscalCode,
        if_asked: bool,
    ) -> Option<Result<u64, TooManyErasures>> {
        let home = partition::home(&self.partitions, &citizen);
        let subject = self.key.subject(&citizen);
        while home.lease.holds() {
            let (done, erased) = oneshot::channel();
            let erase = Erase { citizen, subject, if_asked, done };
            if home.address.cast(PartitionMessage::Erase(erase))
                && let Ok(erased) = erased.await
            {
                return Some(erased);
            }
            tokio::time::sleep(RESTART_PAUSE).await;
        }
        None
    }

    /// Asks the other nodes; none when none of them has answered.
    async fn erase_there(
        &self,
        cluster: &dyn Cluster,
        request: u128,
        citizen: FiscalCode,
        if_asked: bool,
    ) -> Result<Option<Option<u64>>, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.requests.lock().insert(request, answer);
        let _asking = Asking(&self.requests, request);
        cluster.tell(&[Notice::Erase { request, citizen, if_asked }]).await?;
        Ok(timeout(ANSWER, answered).await.ok().and_then(Result::ok))
    }

    /// Another node answered a request.
    pub(crate) fn answered(&self, request: u128, messages: Option<u64>) {
        if let Some(waiting) = self.requests.lock().remove(&request) {
            // The caller may have given up waiting.
            let _ = waiting.send(messages);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{ErasureKey, FiscalCode};

    #[test]
    fn a_subject_is_recognised_with_the_key_only_and_the_key_never_printed() {
        let citizen = FiscalCode::parse("AAAAAA00A00A000A").unwrap();
        let other = FiscalCode::parse("AAAAAA00A00A001A").unwrap();
        let key = ErasureKey([7; 32]);
        assert_eq!(key.subject(&citizen), key.subject(&citizen));
        assert_ne!(key.subject(&citizen), key.subject(&other));
        assert_ne!(key.subject(&citizen), ErasureKey([8; 32]).subject(&citizen));
        assert_eq!(format!("{key:?}"), "ErasureKey(..)");
    }
}
