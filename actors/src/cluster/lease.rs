//! The lease of a partition, as this process knows it.
//!
//! It counts from before the request for it left, on the steady clock of this
//! process, and ends early by the longest time an attempt may take: so whatever
//! attempt starts under it is over when the store lets somebody else have the
//! partition. The provider cannot be fenced; this is what keeps two owners from
//! speaking to it at one time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The longest an attempt at a push provider takes (`provider/http2`); mails in
/// hand are dropped with the partition.
const ATTEMPT: Duration = Duration::from_secs(8);
/// Of a short lease at least this share is worked with.
const LEAST_SHARE: u32 = 3;

/// Not held.
const NONE: u64 = 0;
/// Held for ever.
const FOREVER: u64 = u64::MAX;

/// See the module's text.
#[derive(Debug)]
pub struct Lease {
    base: Instant,
    /// No attempt starts from here on, in milliseconds after `base`.
    until: AtomicU64,
}

impl Default for Lease {
    /// Not held.
    fn default() -> Self {
        Self { base: Instant::now(), until: AtomicU64::new(NONE) }
    }
}

impl Lease {
    /// Held for ever: nobody else could have the partition.
    pub fn hold(&self) {
        self.until.store(FOREVER, Ordering::Release);
    }

    /// Held for `lasts` from `asked` on, which is when the request left.
    pub fn renew(&self, asked: Instant, lasts: Duration) {
        let attempt = ATTEMPT.min(lasts - lasts / LEAST_SHARE);
        let end = (asked + lasts - attempt).saturating_duration_since(self.base);
        let end = u64::try_from(end.as_millis()).unwrap_or(FOREVER - 1).max(NONE + 1);
        self.until.store(end, Ordering::Release);
    }

    /// No attempt starts any more.
    pub fn give_up(&self) {
        self.until.store(NONE, Ordering::Release);
    }

    /// How long attempts may start from now on.
    pub fn left(&self) -> Duration {
        match self.until.load(Ordering::Acquire) {
            NONE => Duration::ZERO,
            FOREVER => Duration::MAX,
            until => Duration::from_millis(until).saturating_sub(self.base.elapsed()),
        }
    }

    /// Whether an attempt may start now.
    pub fn holds(&self) -> bool {
        match self.until.load(Ordering::Acquire) {
            NONE => false,
            FOREVER => true,
            until => self.base.elapsed().as_millis() < u128::from(until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ATTEMPT, Duration, Instant, Lease};

    const LASTS: Duration = Duration::from_secs(15);

    #[tokio::test(start_paused = true)]
    async fn no_attempt_starts_that_could_outlive_the_lease() {
        let lease = Lease::default();
        assert!(!lease.holds(), "nobody has it yet");
        let asked = Instant::now();
        // The answer may take its time: the lease counts from the question.
        tokio::time::advance(Duration::from_secs(2)).await;
        lease.renew(asked, LASTS);
        assert!(lease.holds());
        tokio::time::advance(LASTS - ATTEMPT - Duration::from_millis(2_001)).await;
        assert!(lease.holds());
        tokio::time::advance(Duration::from_millis(2)).await;
        assert!(!lease.holds());
        lease.renew(Instant::now(), LASTS);
        assert!(lease.holds());
        lease.give_up();
        assert!(!lease.holds());
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_lease_is_worked_with_all_the_same_and_an_own_one_for_ever() {
        let lease = Lease::default();
        lease.renew(Instant::now(), Duration::from_secs(6));
        assert!(lease.holds());
        tokio::time::advance(Duration::from_millis(2_001)).await;
        assert!(!lease.holds());
        lease.hold();
        tokio::time::advance(Duration::from_hours(10_000)).await;
        assert!(lease.holds());
    }
}
