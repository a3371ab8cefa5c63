//! How partitions begin and end, as the keeper sees it: what is cleared away, and
//! whether a failure is waited out or goes up.

use ractor::{ActorCell, ActorProcessingErr, ActorStatus};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use super::slot::{Hold, Slot};
use super::{Outcome, State};
use crate::domain::id::PartitionId;
use crate::message::hub;
use crate::port::store::StoreError;

/// Before a partition that could not be opened, or ended, is tried again.
const PAUSE: Duration = Duration::from_millis(500);
/// Before a partition whose rows are damaged is looked at again: the others go
/// on meanwhile, and an operator has to act.
const DAMAGED: Duration = Duration::from_mins(1);
/// Ends heard of before it was known whose they are.
const EARLY: usize = 64;

impl State {
    /// A partition was started, or could not be.
    pub(super) fn opened(
        &mut self,
        partition: PartitionId,
        opened: Result<ActorCell, ActorProcessingErr>,
    ) -> Result<(), ActorProcessingErr> {
        let number = usize::from(partition.0);
        let cell = match opened {
            Ok(cell) => cell,
            Err(failure) => {
                self.clear(partition);
                return self.judge(partition, &failure);
            }
        };
        // It may have ended before it was known here.
        if matches!(cell.get_status(), ActorStatus::Stopping | ActorStatus::Stopped) {
            self.clear(partition);
            let early = self.early.iter().position(|(who, _)| *who == cell.get_id());
            return match early.map(|place| self.early.swap_remove(place)) {
                Some((_, failure)) => self.judge(partition, &failure),
                None => Ok(()),
            };
        }
        self.slots[number] = Slot::Held(Hold::new(cell));
        self.metrics.held(self.held());
        // Whoever had it before may not have come to telling of the last changes.
        self.context.outbox.rung_all(partition);
        hub::of(&self.context.hubs, partition).ring_slots(&[]);
        // It may not be meant for this node any more.
        self.assign();
        Ok(())
    }

    /// Whether the failure of a partition is the store's, which is waited for,
    /// or one that must not go on for ever.
    fn judge(
        &mut self,
        partition: PartitionId,
        failure: &ActorProcessingErr,
    ) -> Result<(), ActorProcessingErr> {
        let cause = match failure.downcast_ref::<StoreError>() {
            Some(StoreError::Leased(_)) => return Ok(()),
            Some(error @ StoreError::Fenced(_)) => {
                self.metrics.fenced();
                tracing::warn!(%partition, %error, "a partition ended");
                return Ok(());
            }
            Some(error @ (StoreError::Unavailable(_) | StoreError::Unconfirmed(_))) => {
                tracing::warn!(%partition, %error, "a partition waits for the store");
                return Ok(());
            }
            Some(error @ StoreError::Damaged(_)) => {
                tracing::error!(%partition, %error, "a partition cannot be worked on");
                let number = usize::from(partition.0);
                self.slots[number] = Slot::free_at(Instant::now() + DAMAGED);
                return Ok(());
            }
            // A panic's text may quote what it was working on.
            None => "it panicked".to_owned(),
        };
        tracing::error!(%partition, cause, "a partition failed");
        if self.window.permits(self.context.clock.now()) {
            Ok(())
        } else {
            Err(format!("partition {partition} keeps failing: {cause}").into())
        }
    }

    /// A partition is at rest, or was given long enough.
    pub(super) fn drained(&mut self, partition: PartitionId, whole: bool) {
        if let Slot::Leaving { hold, whole: is_whole } = &mut self.slots[usize::from(partition.0)] {
            *is_whole = whole;
            hold.stop();
            if !whole {
                self.context.slices[usize::from(partition.0)].lease().cut();
                tracing::warn!(%partition, "not everything in hand finished; its lease lapses");
            }
        }
    }

    /// A partition's actor has ended.
    pub(super) fn ended(
        &mut self,
        who: &ActorCell,
        failure: Option<ActorProcessingErr>,
    ) -> Outcome {
        let is_it = |slot: &Slot| slot.hold().is_some_and(|hold| hold.is(who));
        let Some(number) = self.slots.iter().position(is_it) else {
            if let Some(failure) = failure.filter(|_| self.early.len() < EARLY) {
                self.early.push((who.get_id(), failure));
            }
            return Ok(());
        };
        let slice = Arc::clone(&self.context.slices[number]);
        let before = std::mem::take(&mut self.slots[number]);
        self.clear(slice.id);
        if let Slot::Leaving { whole: true, .. } = before {
            self.release(slice.id, slice.epoch());
            return Ok(());
        }
        let Some(failure) = failure else { return Ok(()) };
        crate::metric::restarted(&format!("partition {}", slice.id));
        self.judge(slice.id, &failure)
    }

    /// Nothing of a partition is here any more.
    fn clear(&mut self, partition: PartitionId) {
        self.slots[usize::from(partition.0)] = Slot::free_at(Instant::now() + PAUSE);
        self.slice(partition).lease().cut();
        self.context.board.partition(partition.0).clear();
        self.metrics.held(self.held());
    }
}
