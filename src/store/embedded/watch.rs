//! The watch: a thread that looks at the writer once a second.
//!
//! Two failures do not show in the answer to a write. The storage engine's
//! background threads may die (a full disk), which it tells only at the next
//! write; and a writer that finds too many unwritten tables sleeps until the
//! background has caught up, which never happens if that thread is gone
//! (fjall#257). Both end the store, as a failed write does.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use fjall::PersistMode;

use super::shared::Shared;

/// How often to look.
const PERIOD: Duration = Duration::from_secs(1);
/// A group that takes longer than this will not end: the slowest disk in use
/// syncs 4 MiB in a fraction of it, and a compaction that holds the writer
/// back lasts seconds.
const STALLED: Duration = Duration::from_secs(60);

/// Watches until `closed` is dropped.
pub(super) fn run(shared: &Arc<Shared>, closed: &Receiver<()>) {
    while closed.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
        match shared.busy_for() {
            Some(busy) if busy > STALLED => {
                shared.fail("a write has not come to an end for 60 seconds");
            }
            Some(_) => {}
            // Writes nothing while the writer is idle, but tells.
            None => {
                if let Err(error) = shared.tables.database.persist(PersistMode::Buffer) {
                    shared.fail(&format!("a background write failed: {error}"));
                }
            }
        }
    }
}
