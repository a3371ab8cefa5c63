//! The books: durable totals that make the two conservation laws checkable
//! (promise 6). The store changes them in the same atomic step as the states
//! they count.

use serde::{Deserialize, Serialize};
use std::ops::AddAssign;

use super::delivery::Channel;
use super::message::RejectionReason;
use super::outcome::Outcome;

/// Totals of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageTotals {
    /// Answered 201.
    pub accepted: u64,
    /// In the inbox.
    pub processed: u64,
    /// Refused, by [`RejectionReason`] in the order of its `ALL`.
    pub rejected: [u64; 3],
    /// Too late.
    pub expired: u64,
    /// Taken back.
    pub recalled: u64,
    /// Set aside.
    pub quarantined: u64,
}

impl MessageTotals {
    /// Messages that reached an end.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.processed
            + self.rejected.iter().sum::<u64>()
            + self.expired
            + self.recalled
            + self.quarantined
    }

    /// Accepted messages that have not reached an end.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.accepted.saturating_sub(self.ended())
    }

    /// Counts a rejection.
    pub fn reject(&mut self, reason: RejectionReason) {
        self.rejected[reason as usize] += 1;
    }
}

/// Totals of deliveries through one channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryTotals {
    /// Planned.
    pub planned: u64,
    /// Accepted by the provider or stored in the inbox.
    pub delivered: u64,
    /// Failed for good.
    pub failed: u64,
    /// Too late.
    pub expired: u64,
    /// Recalled or stopped.
    pub cancelled: u64,
    /// Not attempted, by choice.
    pub suppressed: u64,
    /// Attempts repeated; not part of the conservation law.
    pub retried: u64,
}

impl DeliveryTotals {
    /// Deliveries that reached an outcome.
    #[must_use]
    pub const fn ended(&self) -> u64 {
        self.delivered + self.failed + self.expired + self.cancelled + self.suppressed
    }

    /// Planned deliveries without an outcome.
    #[must_use]
    pub const fn open(&self) -> u64 {
        self.planned.saturating_sub(self.ended())
    }

    /// Counts an outcome.
    pub const fn end(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Delivered => self.delivered += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Expired => self.expired += 1,
            Outcome::Cancelled => self.cancelled += 1,
            Outcome::Suppressed(_) => self.suppressed += 1,
        }
    }
}

/// Books of one partition, or their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// Messages.
    pub messages: MessageTotals,
    /// Deliveries by [`Channel::index`].
    pub deliveries: [DeliveryTotals; 3],
}

impl Books {
    /// Totals of one channel.
    pub const fn channel(&mut self, channel: Channel) -> &mut DeliveryTotals {
        &mut self.deliveries[channel.index()]
    }

    /// Totals over the channels.
    #[must_use]
    pub fn all_deliveries(&self) -> DeliveryTotals {
        let mut sum = DeliveryTotals::default();
        for totals in &self.deliveries {
            sum += *totals;
        }
        sum
    }
}

impl AddAssign for MessageTotals {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.processed += other.processed;
        for (mine, theirs) in self.rejected.iter_mut().zip(other.rejected) {
            *mine += theirs;
        }
        self.expired += other.expired;
        self.recalled += other.recalled;
        self.quarantined += other.quarantined;
    }
}

impl AddAssign for DeliveryTotals {
    fn add_assign(&mut self, other: Self) {
        self.planned += other.planned;
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.expired += other.expired;
        self.cancelled += other.cancelled;
        self.suppressed += other.suppressed;
        self.retried += other.retried;
    }
}

impl AddAssign for Books {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        for (mine, theirs) in self.deliveries.iter_mut().zip(other.deliveries) {
            *mine += theirs;
        }
    }
}
