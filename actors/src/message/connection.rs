//! What a connection is told.

use std::sync::Arc;

use crate::domain::answer::Answer;
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
    /// An attempt was answered.
    Done {
        /// The link it was made over.
        link: u64,
        /// Its ticket.
        ticket: Ticket,
        /// The answer.
        answer: Answer,
    },
    /// Time has passed: see whether the link still lives.
    Tick,
}
