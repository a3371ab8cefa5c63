//! What a hub is told, and how partitions ring it without filling its
//! mailbox.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use tokio::sync::oneshot;
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::fiscal_code::FiscalCode;
use crate::domain::id::PartitionId;
use crate::live::{LiveRefused, LiveSession};
use crate::supervise::Address;

/// Mailbox of a hub. Bounded though ractor's is not: one request per caller
/// who waits for it, one wake, one look.
pub enum HubMessage {
    /// Open a session.
    Enter {
        /// Whose inbox.
        citizen: FiscalCode,
        /// Answered when every later change wakes it.
        reply: oneshot::Sender<Result<LiveSession, LiveRefused>>,
    },
    /// Bells were rung: see [`Bells::take`].
    Wake,
    /// Close all sessions of a citizen.
    Revoke {
        /// Who.
        citizen: FiscalCode,
        /// Answered when they are closed, if anybody waits.
        done: Option<oneshot::Sender<()>>,
    },
    /// Time has passed: let go of sessions whose reader has gone.
    Look,
}

/// The slot of a citizen as nodes name it to each other. By the upper half of
/// the hash: the lower one chose the partition, and with it the hub.
pub fn slot(citizen: &FiscalCode) -> u16 {
    let [.., high, low] = ((xxh3_64(citizen.as_bytes()) >> 32) as u32).to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// Which citizens changed: one bit for each slot of fiscal codes, so that a
/// flood of changes takes no memory, and none is even noted where nobody
/// listens. Two citizens of one slot wake each other's sessions now and then,
/// which costs each a look at its inbox.
pub struct Bells {
    /// Citizens listening, by slot. Written by the hub alone.
    listening: Box<[AtomicU32]>,
    /// The sum of them.
    all: AtomicU32,
    /// Slots rung since the last look, one bit each.
    rung: Box<[AtomicU64]>,
}

/// Slots to a word of [`Bells::rung`].
const WORD: usize = 64;
/// Fewest and most slots; the most take half a megabyte.
const SLOTS: std::ops::RangeInclusive<usize> = WORD..=65_536;

impl Bells {
    /// Bells for about `citizens` listeners.
    fn new(citizens: usize) -> Self {
        let slots = citizens.min(*SLOTS.end()).next_power_of_two().max(*SLOTS.start());
        Self {
            listening: (0..slots).map(|_| AtomicU32::new(0)).collect(),
            all: AtomicU32::new(0),
            rung: (0..slots / WORD).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The slot of a citizen here: there may be fewer than nodes name.
    pub fn slot(&self, citizen: &FiscalCode) -> usize {
        self.fold(slot(citizen))
    }

    fn fold(&self, slot: u16) -> usize {
        usize::from(slot) % self.listening.len()
    }

    /// One more citizen listens. Whoever changes the store after this returns
    /// and then rings is heard.
    pub fn listen(&self, slot: usize) {
        self.all.fetch_add(1, Ordering::Relaxed);
        self.listening[slot].fetch_add(1, Ordering::Relaxed);
        // Pairs with the fence in `ring`: either the listener's first look at
        // the store sees the change, or the ringer sees the listener.
        fence(Ordering::SeqCst);
    }

    /// One citizen listens no more.
    pub fn leave(&self, slot: usize) {
        self.all.fetch_sub(1, Ordering::Relaxed);
        self.listening[slot].fetch_sub(1, Ordering::Relaxed);
    }

    /// Nobody listens: a new incarnation of the hub has no session.
    fn clear(&self) {
        self.all.store(0, Ordering::Relaxed);
        self.listening.iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
        self.rung.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// Rings for citizens whose change is in the store. Returns whether
    /// anybody may listen.
    fn ring<'a>(&self, citizens: impl Iterator<Item = &'a FiscalCode>) -> bool {
        self.ring_slots(citizens.map(slot))
    }

    fn ring_slots(&self, slots: impl Iterator<Item = u16>) -> bool {
        fence(Ordering::SeqCst);
        if self.all.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut any = false;
        for slot in slots {
            let slot = self.fold(slot);
            if self.listening[slot].load(Ordering::Relaxed) > 0 {
                self.rung[slot / WORD].fetch_or(1 << (slot % WORD), Ordering::Release);
                any = true;
            }
        }
        any
    }

    /// Takes the slots rung since the last call.
    pub fn take(&self) -> Vec<usize> {
        let mut slots = Vec::new();
        for (index, word) in self.rung.iter().enumerate() {
            let mut bits = word.swap(0, Ordering::Acquire);
            while bits != 0 {
                slots.push(index * WORD + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
        slots
    }
}

/// How sessions and partitions reach a hub.
pub struct HubHandle {
    /// The hub's mailbox.
    pub address: Address<HubMessage>,
    /// Who changed and who listens.
    pub bells: Bells,
    /// A wake is on its way.
    poked: AtomicBool,
}

impl HubHandle {
    /// A hub not yet living, for about `citizens` listeners.
    pub fn new(citizens: usize) -> Self {
        Self {
            address: Address::default(),
            bells: Bells::new(citizens),
            poked: AtomicBool::new(false),
        }
    }

    /// Wakes the sessions of `citizens`, whose change is in the store. Costs
    /// nothing where nobody listens, and never fills the mailbox.
    pub fn ring<'a>(&self, citizens: impl Iterator<Item = &'a FiscalCode>) {
        let rung = self.bells.ring(citizens);
        self.wake(rung);
    }

    /// The same by slots, as another node names them; none: everybody's.
    pub fn ring_slots(&self, slots: &[u16]) {
        let rung = match slots {
            [] => self.bells.ring_slots(0..=u16::MAX),
            slots => self.bells.ring_slots(slots.iter().copied()),
        };
        self.wake(rung);
    }

    fn wake(&self, rung: bool) {
        if rung && !self.poked.swap(true, Ordering::AcqRel) && !self.address.cast(HubMessage::Wake)
        {
            // No incarnation lives, and so no session.
            self.poked.store(false, Ordering::Release);
        }
    }

    /// Takes the wake: from here on another one may come.
    pub fn take_poke(&self) {
        // A swap, so that no bell is read before the wake is taken.
        self.poked.swap(false, Ordering::AcqRel);
    }

    /// A new incarnation begins, with nobody listening.
    pub fn begin(&self) {
        self.bells.clear();
        self.take_poke();
    }
}

/// The hub of the citizens of `partition`: one for each, so that a step of a
/// partition speaks to one hub.
pub fn of(hubs: &[HubHandle], partition: PartitionId) -> &HubHandle {
    &hubs[usize::from(partition.0) % hubs.len()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{Bells, FiscalCode};

    fn citizen(number: usize) -> FiscalCode {
        FiscalCode::parse(&format!("SNTTST80A01A{number:03}X")).unwrap()
    }

    #[test]
    fn a_bell_rings_only_where_somebody_listens() {
        let bells = Bells::new(1_000);
        let (first, second) = (citizen(1), citizen(2));
        assert_ne!(bells.slot(&first), bells.slot(&second));
        assert!(!bells.ring([&first].into_iter()));
        bells.listen(bells.slot(&first));
        assert!(!bells.ring([&second].into_iter()));
        assert!(bells.ring([&second, &first, &first].into_iter()));
        assert_eq!(bells.take(), [bells.slot(&first)]);
        assert!(bells.take().is_empty());
        bells.leave(bells.slot(&first));
        assert!(!bells.ring([&first].into_iter()));
        assert!(bells.take().is_empty());
    }

    #[test]
    fn every_slot_can_be_rung_whatever_the_size() {
        for size in [0, 1, 64, 65, 5_000, 1_000_000] {
            let bells = Bells::new(size);
            let codes: Vec<_> = (0..500).map(citizen).collect();
            codes.iter().for_each(|code| bells.listen(bells.slot(code)));
            assert!(bells.ring(codes.iter()));
            let mut slots: Vec<_> = codes.iter().map(|code| bells.slot(code)).collect();
            slots.sort_unstable();
            slots.dedup();
            assert_eq!(bells.take(), slots);
        }
    }
}
