//! What a partition is told.

/// Mailbox of a partition.
#[derive(Debug)]
pub enum PartitionMessage {
    /// A message of this partition became durable.
    Accepted {
        /// Its place in the journal.
        sequence: u64,
    },
}
