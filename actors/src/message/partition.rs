//! What a partition is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::oneshot;

use crate::cluster::Lease;
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::id::PartitionId;
use crate::domain::lane::{ByLane, Lane};
use crate::message::batch::Batch;
use crate::message::citizen::Turn;
use crate::message::ticket::Report;
use crate::supervise::Address;

/// Mailbox of a partition. Bounded though ractor's is not: one poke at a
/// time, one report per credit, one turn per input given, one flush, one step
/// of the walks, one landing per batch.
pub enum PartitionMessage {
    /// Messages were appended to the intake journals.
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
    /// Let the walks of the alerts go on by a step.
    Walk,
    /// Everything of a batch has come back.
    Landed(Arc<Batch>),
    /// A citizen's record changed in the store; answered when no attempt can
    /// start against the old one.
    Changed {
        /// Who.
        citizen: FiscalCode,
        /// Answered when taken up.
        done: oneshot::Sender<()>,
    },
    /// Changes may have been missed: look at the journals and at every record in
    /// hand; answered when no attempt can start against an old one.
    Refresh {
        /// Answered when taken up.
        done: oneshot::Sender<()>,
    },
    /// Remove every row of a citizen, once what is in flight has ended.
    Erase(Erase),
    /// Finish what is in flight, start nothing new; answered when at rest.
    Drain {
        /// Answered when everything known is stored.
        done: oneshot::Sender<()>,
    },
}

/// A request to erase a citizen.
pub struct Erase {
    /// Who.
    pub citizen: FiscalCode,
    /// What the record calls them.
    pub subject: [u8; 32],
    /// Only if the citizen's own request for it is still pending.
    pub if_asked: bool,
    /// Answered with the number of messages removed.
    pub done: oneshot::Sender<Result<u64, TooManyErasures>>,
}

/// Too many citizens of the partition wait to be erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyErasures;

/// The partition of `citizen`, among all of them.
pub fn home<'a>(partitions: &'a [PartitionHandle], citizen: &FiscalCode) -> &'a PartitionHandle {
    let count = u16::try_from(partitions.len()).unwrap_or(u16::MAX);
    &partitions[usize::from(PartitionId::of(citizen, count).0)]
}

/// How intake reaches a partition: the journals' tails and a poke that is not
/// repeated while one is on its way.
#[derive(Default)]
pub struct PartitionHandle {
    /// The partition's mailbox.
    pub address: Address<PartitionMessage>,
    /// Whether the partition is this process' to work on.
    pub lease: Arc<Lease>,
    tails: ByLane<AtomicU64>,
    poked: AtomicBool,
    ticked: AtomicBool,
    walking: AtomicBool,
}

impl PartitionHandle {
    /// The journal of `lane` reaches up to `tail`. Returns whether the
    /// partition is this process' to work on.
    pub fn appended(&self, lane: Lane, tail: u64) -> bool {
        self.tails[lane].fetch_max(tail, Ordering::AcqRel);
        if !self.poked.swap(true, Ordering::AcqRel) && !self.address.cast(PartitionMessage::Poked) {
            // No incarnation lives; the next one reads the tails in the store.
            self.poked.store(false, Ordering::Release);
        }
        self.lease.holds()
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

    /// There may be something to do for the walks. Not repeated while one
    /// step is on its way.
    pub fn walk(&self) {
        if !self.walking.swap(true, Ordering::AcqRel) && !self.address.cast(PartitionMessage::Walk)
        {
            // No incarnation lives; the next one looks by itself.
            self.walking.store(false, Ordering::Release);
        }
    }

    /// Takes the step: from here on another one may come.
    pub fn take_walk(&self) {
        // A swap, so that no status is read before the step is taken.
        self.walking.swap(false, Ordering::AcqRel);
    }

    /// The journals' tails as far as this process knows them.
    pub fn tails(&self) -> ByLane<u64> {
        self.tails.map(|tail| tail.load(Ordering::Acquire))
    }

    /// Takes the poke: from here on the next append pokes again. Returns the
    /// journals' tails as far as this process knows them.
    pub fn take_poke(&self) -> ByLane<u64> {
        // A swap, so that no tail is read before the poke is taken.
        self.poked.swap(false, Ordering::AcqRel);
        self.tails()
    }
}
