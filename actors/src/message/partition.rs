//! What a partition is told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::oneshot;

use crate::domain::fiscal_code::FiscalCode;
use crate::message::citizen::Turn;
use crate::message::ticket::Report;
use crate::supervise::Address;

/// Mailbox of a partition. Bounded though ractor's is not: one poke at a
/// time, one report per credit, one turn per input given, one flush.
pub enum PartitionMessage {
    /// Messages were appended to the intake journal.
    Poked,
    /// A citizen took a turn.
    Turned {
        /// Who.
        citizen: FiscalCode,
        /// Which incarnation of the actor.
        incarnation: u64,
        /// What was decided.
        turn: Turn,
    },
    /// A citizen's actor panicked.
    Fell {
        /// Who.
        citizen: FiscalCode,
        /// Which incarnation of the actor.
        incarnation: u64,
    },
    /// A ticket ended.
    Report(Report),
    /// Store the turns taken so far.
    Flush,
    /// Time has passed.
    Tick,
    /// A citizen's record changed in the store; answered when no attempt can
    /// start against the old one.
    Changed {
        /// Who.
        citizen: FiscalCode,
        /// Answered when taken up.
        done: oneshot::Sender<()>,
    },
    /// Finish what is in flight, start nothing new; answered when at rest.
    Drain {
        /// Answered when everything known is stored.
        done: oneshot::Sender<()>,
    },
}

/// How intake reaches a partition: the journal's tail and a poke that is not
/// repeated while one is on its way.
#[derive(Default)]
pub struct PartitionHandle {
    /// The partition's mailbox.
    pub address: Address<PartitionMessage>,
    tail: AtomicU64,
    poked: AtomicBool,
    ticked: AtomicBool,
}

impl PartitionHandle {
    /// Journal entry `sequence` is durable.
    pub fn appended(&self, sequence: u64) {
        self.tail.fetch_max(sequence + 1, Ordering::AcqRel);
        if !self.poked.swap(true, Ordering::AcqRel) && !self.address.cast(PartitionMessage::Poked) {
            // No incarnation lives; the next one reads the tail in the store.
            self.poked.store(false, Ordering::Release);
        }
    }

    /// Time has passed. Not repeated while one tick is on its way.
    pub fn tick(&self) {
        if !self.ticked.swap(true, Ordering::AcqRel) && !self.address.cast(PartitionMessage::Tick) {
            self.ticked.store(false, Ordering::Release);
        }
    }

    /// Takes the tick: from here on another one may come.
    pub fn take_tick(&self) {
        self.ticked.store(false, Ordering::Release);
    }

    /// Takes the poke: from here on the next append pokes again. Returns the
    /// journal's tail as far as this process knows it.
    pub fn take_poke(&self) -> u64 {
        // A swap, so that the tail is not read before the poke is taken.
        self.poked.swap(false, Ordering::AcqRel);
        self.tail.load(Ordering::Acquire)
    }
}
