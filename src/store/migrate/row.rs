//! What is moved from one store to another, row by row.
//!
//! Rows of indexes that follow from others (addresses, requests to be deleted,
//! claims by time, the list of alerts) are not among them: who takes a row in
//! writes those with it.

use araldo_actors::domain::alert::{AlertRecord, Cursor, Walk};
use araldo_actors::domain::books::Books;
use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::data_request::Erasure;
use araldo_actors::domain::delivery::{Endpoint, MessageState};
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{MessageId, RouteId};
use araldo_actors::domain::inbox::InboxEntry;
use araldo_actors::domain::lane::{ByLane, Lane};
use araldo_actors::domain::time::Millis;

use crate::store::codec::ClaimRow;
use crate::store::ledger::Piece;

/// Counters of one partition.
#[derive(Debug)]
pub(in crate::store) struct Counters {
    pub(in crate::store) epoch: u64,
    pub(in crate::store) checkpoints: ByLane<u64>,
    pub(in crate::store) tails: ByLane<u64>,
    pub(in crate::store) events: u64,
    pub(in crate::store) next_ordinal: u32,
    pub(in crate::store) books: Books,
}

/// A delivery that waits.
#[derive(Debug)]
pub(in crate::store) struct Due {
    pub(in crate::store) route: RouteId,
    pub(in crate::store) lane: Lane,
    pub(in crate::store) due: Millis,
    pub(in crate::store) published: u64,
    pub(in crate::store) message: MessageId,
    pub(in crate::store) endpoint: Endpoint,
    /// Its recipient's.
    pub(in crate::store) ordinal: u32,
}

/// An entry of a journal.
#[derive(Debug)]
pub(in crate::store) struct Entry {
    pub(in crate::store) lane: Lane,
    pub(in crate::store) sequence: u64,
    pub(in crate::store) message: MessageId,
    pub(in crate::store) checksum: u32,
    pub(in crate::store) recipient: FiscalCode,
    /// The message as encoded.
    pub(in crate::store) row: Vec<u8>,
}

/// One row; those from `Counters` on belong to a partition.
#[derive(Debug)]
pub(in crate::store) enum Row {
    /// Of the registry: kind and id, and the row as encoded.
    Registered(Vec<u8>, Vec<u8>),
    Alert(Box<AlertRecord>),
    Claim {
        scope: [u8; 32],
        claim: ClaimRow,
        /// Of an alert, not a message.
        is_alert: bool,
    },
    Erasure(Erasure),
    Counters(Box<Counters>),
    /// By ordinal.
    Citizen(u32, Box<Citizen>),
    Ordinal(FiscalCode, u32),
    /// As encoded.
    Message(MessageId, Vec<u8>),
    /// With the ordinal of the recipient in whose inbox it is.
    State(MessageId, Box<MessageState>, Option<u32>),
    /// Its message comes before it, too.
    Entry(Box<Entry>),
    Due(Box<Due>),
    /// Of the inbox of an ordinal.
    Inbox(u32, InboxEntry),
    /// Of the inbox of an ordinal: where the marks of which entry changed.
    Change {
        ordinal: u32,
        place: u64,
        entry: u64,
    },
    Addressed(FiscalCode, MessageId),
    Cursor(MessageId, Walk, Cursor),
    Piece(MessageId, Walk, Piece),
    /// Of the inbox's index of alerts: block and place, and the row as encoded.
    Shown(u32, u64, Vec<u8>),
}
