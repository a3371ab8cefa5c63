//! What a connection is told.

use std::sync::Arc;

use crate::message::ticket::Ticket;
use crate::port::provider::{ConnectError, Link};

/// Mailbox of a connection. Bounded by the slots it granted.
pub enum ConnectionMessage {
    /// Open the connection.
    Connect,
    /// The attempt to open it ended.
    Opened(Result<Arc<dyn Link>, ConnectError>),
    /// Attempts to make.
    Send(Vec<Ticket>),
    /// A link takes no more attempts.
    Closed {
        /// Which of the connection's links.
        link: u64,
    },
    /// Time has passed: see whether the link still lives.
    Tick,
}
