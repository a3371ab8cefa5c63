//! The inbox of the app: what a processed message leaves with its citizen,
//! and the order of everything that happens in it.
//!
//! One number orders an inbox: its partition counts publications *and*
//! changes of marks. A live session that has seen everything up to a number
//! asks for what came after it and misses nothing.

use serde::{Deserialize, Serialize};

use super::id::MessageId;
use super::message::Message;
use super::time::Millis;

/// What the citizen did with an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// It was read. Never becomes unread.
    pub read: bool,
    /// It is in the archive.
    pub archived: bool,
}

impl Marks {
    /// These marks after `change`.
    #[must_use]
    pub fn after(self, change: MarkChange) -> Self {
        Self { read: self.read || change.read, archived: change.archived.unwrap_or(self.archived) }
    }
}

/// A change of an entry's marks (IO `MessageStatusChange`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarkChange {
    /// Mark it read.
    pub read: bool,
    /// Move it into the archive, or out of it.
    pub archived: Option<bool>,
}

/// One entry. Entries are ordered by publication: a message processed later
/// stands above one processed earlier, whatever their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxEntry {
    /// Place in the order of its partition.
    pub sequence: u64,
    /// The message.
    pub message: MessageId,
    /// When it was published.
    pub published_at: Millis,
    /// What the citizen did with it.
    pub marks: Marks,
    /// Place of the last change of its marks in the order of the partition;
    /// 0 when they never changed.
    pub marked: u64,
}

/// An entry with its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxItem {
    /// The entry.
    pub entry: InboxEntry,
    /// Its message.
    pub message: Message,
}

/// Which entries of an inbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InboxRange {
    /// Only entries published after this place. Without `before`, the ones
    /// nearest to it are chosen, so that a reader can go up page by page.
    pub after: Option<u64>,
    /// Only entries published before this place.
    pub before: Option<u64>,
    /// Only entries in the archive, or only those that are not; none: all.
    pub archived: Option<bool>,
    /// At most this many; the newest first.
    pub limit: usize,
}

/// What happened in an inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InboxChange {
    /// A message was published.
    Published,
    /// Its marks changed; the item shows them as they are now.
    Marked,
}

/// One event of an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxEvent {
    /// Its place in the order of the partition.
    pub sequence: u64,
    /// What happened.
    pub change: InboxChange,
    /// The entry as it is now.
    pub item: InboxItem,
}

/// A run of an inbox's events, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InboxEvents {
    /// The events, the oldest first. An entry marked twice has only its last
    /// change.
    pub events: Vec<InboxEvent>,
    /// The newest place in the order of the partition: whoever has seen
    /// `events` up to their end and found fewer than asked for has seen
    /// everything up to here.
    pub newest: u64,
}
