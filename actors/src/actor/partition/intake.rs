//! The intake: how a partition reads its journals, one for each lane.
//!
//! The most urgent lane is read first, so that an accepted message waits for
//! those of its own lane and for the turns in hand, not for whatever was
//! accepted before it. Every lane that has something to read gets its share of
//! the arrivals in hand. Each journal has its own checkpoint; a crash loses
//! nothing of this, since the next generation reads on from there.

use ractor::ActorProcessingErr;
use std::sync::Arc;

use super::State;
use super::state::Outcomes;
use crate::domain::lane::{ByLane, Lane};
use crate::message::citizen::CitizenMessage;
use crate::policy::shares::Shares;
use crate::policy::watermark::Watermark;
use crate::port::store::{self, Arrival};

/// The journal of one lane.
struct Journal {
    /// Next entry to read, and the first not yet written.
    next: u64,
    tail: u64,
    watermark: Watermark,
    /// The mark as last stored.
    checkpoint: u64,
    /// Entries whose turn is not stored.
    unprocessed: u64,
    /// Entries read whose turn is not stored.
    in_hand: usize,
}

/// See the module's text.
pub(crate) struct Intake {
    journals: ByLane<Journal>,
    shares: Shares,
}

impl Intake {
    /// The journals as found, at most `max_active` entries of them in hand.
    pub(super) fn new(opened: &ByLane<store::Journal>, max_active: usize) -> Self {
        let journal = |found: &store::Journal| Journal {
            next: found.checkpoint,
            tail: found.tail,
            watermark: Watermark::new(found.checkpoint),
            checkpoint: found.checkpoint,
            unprocessed: found.unprocessed,
            in_hand: 0,
        };
        Self { journals: opened.map(journal), shares: Shares::new(max_active) }
    }

    /// Takes note of entries up to `tail`.
    const fn learn(journal: &mut Journal, tail: u64) {
        if tail > journal.tail {
            journal.unprocessed += tail - journal.tail;
            journal.tail = tail;
        }
    }

    /// Takes note of the entries up to `tails`.
    pub(super) fn learn_all(&mut self, tails: &ByLane<u64>) {
        for (lane, tail) in tails.iter() {
            Self::learn(&mut self.journals[lane], *tail);
        }
    }

    /// The first entries not yet written, as far as is known.
    pub(super) fn tails(&self) -> ByLane<u64> {
        self.journals.map(|journal| journal.tail)
    }

    fn has_unread(&self, lane: Lane) -> bool {
        let journal = &self.journals[lane];
        journal.next < journal.tail
    }

    /// How many entries of `lane` may be read now. A place in hand comes back
    /// with the next step stored, so no lane keeps one that it has no use for.
    fn room(&self, lane: Lane) -> usize {
        let in_hand = self.journals.map(|journal| journal.in_hand);
        self.shares.room_beside(lane, &in_hand, |other| self.has_unread(other))
    }

    /// An entry was read; whether its turn is still to be taken.
    fn arrived(&mut self, arrival: &Arrival) -> bool {
        let journal = &mut self.journals[arrival.message.lane];
        journal.next = arrival.sequence + 1;
        // It may be in the store before its poke is in the mailbox.
        Self::learn(journal, journal.next);
        if arrival.done {
            journal.watermark.complete(arrival.sequence);
        } else {
            journal.in_hand += 1;
        }
        !arrival.done
    }

    /// The turn of an entry is being stored.
    pub(super) fn complete(&mut self, lane: Lane, sequence: u64) {
        self.journals[lane].watermark.complete(sequence);
    }

    /// The turn of an entry is stored.
    pub(super) fn close(&mut self, lane: Lane) {
        let journal = &mut self.journals[lane];
        journal.unprocessed = journal.unprocessed.saturating_sub(1);
        journal.in_hand -= 1;
    }

    /// Before these every turn is taken.
    pub(super) fn marks(&self) -> ByLane<u64> {
        self.journals.map(|journal| journal.watermark.mark())
    }

    /// Whether `marks` are beyond what was last stored.
    pub(super) fn is_ahead(&self, marks: &ByLane<u64>) -> bool {
        marks.iter().any(|(lane, mark)| *mark > self.journals[lane].checkpoint)
    }

    /// `marks` are stored.
    pub(super) fn stored(&mut self, marks: &ByLane<u64>) {
        for (lane, mark) in marks.iter() {
            let journal = &mut self.journals[lane];
            journal.checkpoint = journal.checkpoint.max(*mark);
        }
    }

    /// Whether every entry below `tails` was read.
    pub(super) fn has_read(&self, tails: &ByLane<u64>) -> bool {
        tails.iter().all(|(lane, tail)| self.journals[lane].next >= *tail)
    }

    /// Whether every entry below `tails` had its turn.
    pub(super) fn is_done(&self, tails: &ByLane<u64>) -> bool {
        tails.iter().all(|(lane, tail)| self.journals[lane].watermark.mark() >= *tail)
    }

    /// Whether no entry read waits for its turn to be stored.
    pub(super) fn is_at_rest(&self) -> bool {
        self.journals.values().all(|journal| journal.in_hand == 0)
    }

    /// Entries whose turn is not stored.
    pub(super) fn unprocessed(&self) -> ByLane<u64> {
        self.journals.map(|journal| journal.unprocessed)
    }
}

impl State {
    /// The journals grew.
    pub(crate) async fn poked(&mut self) -> Outcomes {
        let tails = self.context.handle().take_poke();
        self.intake.learn_all(&tails);
        self.read().await
    }

    /// Reads the journals while there is room, the most urgent first.
    pub(super) async fn read(&mut self) -> Outcomes {
        for lane in Lane::ALL {
            while self.intake.has_unread(lane) && self.read_some(lane).await? {}
        }
        Ok(())
    }

    /// Looks at the journals themselves, whatever is known of them.
    pub(super) async fn look(&mut self) -> Outcomes {
        for lane in Lane::ALL {
            self.read_some(lane).await?;
        }
        Ok(())
    }

    /// Reads what there is room for; false when that is nothing.
    async fn read_some(&mut self, lane: Lane) -> Result<bool, ActorProcessingErr> {
        let room = self.intake.room(lane);
        if room == 0 || self.draining.is_some() || self.holds_reading() {
            return Ok(false);
        }
        let (store, id) = (&self.context.store, self.context.id);
        let arrivals = store.arrivals(id, lane, self.intake.journals[lane].next, room).await?;
        let any = !arrivals.is_empty();
        for arrival in arrivals {
            self.arrive(arrival).await?;
        }
        Ok(any)
    }

    /// Lets a citizen take the turn of a journal entry.
    async fn arrive(&mut self, arrival: Arrival) -> Outcomes {
        if !self.intake.arrived(&arrival) {
            return Ok(());
        }
        let Arrival { sequence, message, citizen, .. } = arrival;
        let code = message.fiscal_code;
        let message = Arc::new(message);
        self.give(code, citizen, CitizenMessage::Arrive { sequence, message }).await
    }
}
