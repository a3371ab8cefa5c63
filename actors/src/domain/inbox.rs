//! The inbox of the app: what a processed message leaves with its citizen.

use serde::{Deserialize, Serialize};

use super::id::MessageId;
use super::time::Millis;

/// One entry. Entries are ordered by publication: a message processed later
/// stands above one processed earlier, whatever their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxEntry {
    /// Place in the order of publication within the partition.
    pub sequence: u64,
    /// The message.
    pub message: MessageId,
    /// When it was published.
    pub published_at: Millis,
}
