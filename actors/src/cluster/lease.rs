//! The lease of a partition, as this process knows it.
//!
//! It counts from before the request for it left, on the steady clock of this
//! process. Attempts start in its first third only and take two thirds of it at
//! most ([`longest_attempt`]): so whatever attempt starts under it is over when
//! the store lets somebody else have the partition. The provider cannot be fenced;
//! this is what keeps two owners from speaking to it at one time. A mail may take
//! longer: it is cut off when the lease ends, as is everything else still under
//! way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// An attempt takes no longer than this, whatever the lease: Google asks for 10
/// seconds at least ("Best practices for sending FCM messages at scale").
const LONGEST: Duration = Duration::from_secs(20);
/// How long before its end a lease that was not renewed is over for this
/// process: it is looked at once a second.
const MARGIN: Duration = Duration::from_millis(1_200);

/// Not held.
const NONE: u64 = 0;
/// Held for ever.
const FOREVER: u64 = u64::MAX;

/// The longest that an attempt may take under a lease that lasts `lasts`.
#[must_use]
pub fn longest_attempt(lasts: Duration) -> Duration {
    LONGEST.min(lasts * 2 / 3)
}

/// See the module's text.
#[derive(Debug)]
pub struct Lease {
    base: Instant,
    /// No attempt starts from here on, in milliseconds after `base`.
    until: AtomicU64,
    /// Whatever is under way is cut off from here on, the same.
    end: AtomicU64,
    /// Changes when nothing starts any more.
    stops: watch::Sender<()>,
    /// Changes when what is under way is cut off.
    cuts: watch::Sender<()>,
}

impl Default for Lease {
    /// Not held.
    fn default() -> Self {
        Self {
            base: Instant::now(),
            until: AtomicU64::new(NONE),
            end: AtomicU64::new(NONE),
            stops: watch::Sender::default(),
            cuts: watch::Sender::default(),
        }
    }
}

/// Somebody who must hear of the end of a lease.
pub struct Watch {
    stops: watch::Receiver<()>,
    cuts: watch::Receiver<()>,
}

impl Watch {
    /// Waits until nothing may start any more.
    pub async fn stopped(&mut self) {
        // Fails only when the lease is gone, and its partition with it.
        let _ = self.stops.changed().await;
    }

    /// Waits until what is under way must end.
    pub async fn cut(&mut self) {
        // As above.
        let _ = self.cuts.changed().await;
    }
}

impl Lease {
    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.base).as_millis();
        u64::try_from(since).unwrap_or(FOREVER - 1).clamp(NONE + 1, FOREVER - 1)
    }

    /// Held for ever: nobody else could have the partition.
    pub fn hold(&self) {
        self.end.store(FOREVER, Ordering::Release);
        self.until.store(FOREVER, Ordering::Release);
    }

    /// Held for `lasts` from `asked` on, which is when the request left.
    pub fn renew(&self, asked: Instant, lasts: Duration) {
        self.extend(asked, lasts);
        self.until.store(self.millis(asked + lasts / 3), Ordering::Release);
    }

    /// The same for what is under way alone: nothing new starts.
    pub fn extend(&self, asked: Instant, lasts: Duration) {
        let end = asked + lasts.saturating_sub(MARGIN);
        self.end.store(self.millis(end), Ordering::Release);
    }

    /// No attempt starts any more; what is under way goes on.
    pub fn give_up(&self) {
        self.until.store(NONE, Ordering::Release);
        self.stops.send_replace(());
    }

    /// Neither starts anything any more nor goes on.
    pub fn cut(&self) {
        self.give_up();
        self.end.store(NONE, Ordering::Release);
        self.cuts.send_replace(());
    }

    /// Whether it has ended, renewals having stayed away.
    pub fn is_over(&self) -> bool {
        match self.end.load(Ordering::Acquire) {
            FOREVER => false,
            end => self.base.elapsed().as_millis() >= u128::from(end),
        }
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

    /// To hear of its end; none if it has none.
    pub fn watch(&self) -> Option<Watch> {
        (self.until.load(Ordering::Acquire) != FOREVER)
            .then(|| Watch { stops: self.stops.subscribe(), cuts: self.cuts.subscribe() })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::{Duration, Instant, LONGEST, Lease, MARGIN, longest_attempt};

    const LASTS: Duration = Duration::from_secs(15);

    #[test]
    fn an_attempt_and_the_time_it_may_start_in_fit_into_the_lease() {
        for seconds in 1..=300 {
            let lasts = Duration::from_secs(seconds);
            assert!(longest_attempt(lasts) + lasts / 3 <= lasts, "{lasts:?}");
            assert!(longest_attempt(lasts) <= LONGEST);
        }
        assert_eq!(longest_attempt(LASTS), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn no_attempt_starts_that_could_outlive_the_lease() {
        let lease = Lease::default();
        assert!(!lease.holds(), "nobody has it yet");
        let asked = Instant::now();
        // The answer may take its time: the lease counts from the question.
        tokio::time::advance(Duration::from_secs(2)).await;
        lease.renew(asked, LASTS);
        assert!(lease.holds());
        tokio::time::advance(LASTS / 3 - Duration::from_millis(2_001)).await;
        assert!(lease.holds());
        tokio::time::advance(Duration::from_millis(2)).await;
        assert!(!lease.holds() && !lease.is_over());
        lease.renew(Instant::now(), LASTS);
        assert!(lease.holds());
        lease.give_up();
        assert!(!lease.holds() && !lease.is_over(), "what is under way goes on");
        tokio::time::advance(LASTS - MARGIN).await;
        assert!(lease.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_under_way_hears_of_the_end_even_if_it_is_held_again_by_then() {
        let lease = Lease::default();
        lease.renew(Instant::now(), LASTS);
        let mut watch = lease.watch().expect("it can end");
        lease.give_up();
        assert!(watch.stopped().now_or_never().is_some());
        assert!(watch.cut().now_or_never().is_none());
        lease.cut();
        lease.renew(Instant::now(), LASTS);
        assert!(watch.cut().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_own_partition_is_held_for_ever() {
        let lease = Lease::default();
        lease.hold();
        tokio::time::advance(Duration::from_hours(10_000)).await;
        assert!(lease.holds() && !lease.is_over() && lease.watch().is_none());
    }
}
