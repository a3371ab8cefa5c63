//! Erasing a citizen, seen from whoever asks: the request goes to the
//! citizen's partition and is asked again when that is restarted meanwhile.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

use crate::domain::fiscal_code::FiscalCode;
use crate::message::partition::{self, Erase, PartitionHandle, PartitionMessage, TooManyErasures};
use crate::port::store::StoreError;

/// Between looks at a partition that is being restarted.
const RESTART_PAUSE: Duration = Duration::from_millis(20);

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

/// Has citizens erased by their partitions.
#[derive(Clone)]
pub(crate) struct Eraser {
    pub(crate) key: ErasureKey,
    pub(crate) partitions: Arc<[PartitionHandle]>,
}

impl Eraser {
    /// Removes every row of `citizen`, once what is in flight has ended.
    /// `if_asked` leaves alone whoever has no pending request for it (any
    /// more). Returns the number of messages removed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when too many wait to be erased.
    pub(crate) async fn erase(
        &self,
        citizen: FiscalCode,
        if_asked: bool,
    ) -> Result<u64, StoreError> {
        let home = partition::home(&self.partitions, &citizen);
        let subject = self.key.subject(&citizen);
        loop {
            let (done, erased) = oneshot::channel();
            let erase = Erase { citizen, subject, if_asked, done };
            if home.address.cast(PartitionMessage::Erase(erase))
                && let Ok(erased) = erased.await
            {
                return erased.map_err(|TooManyErasures| {
                    StoreError::Unavailable("too many citizens wait to be erased".into())
                });
            }
            tokio::time::sleep(RESTART_PAUSE).await;
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
