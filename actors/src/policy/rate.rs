//! Rate: how many attempts a second may start, in whole numbers.
//!
//! Two parts. The [`Bucket`] is the budget itself, one for all that share it:
//! it earns `rate` attempts a second and keeps at most a tenth of a second's
//! worth of what nobody took. The [`Purse`] is what one route drew from it and
//! has not spent: at most as much again.
//!
//! Invariants: in any stretch of t milliseconds a bucket gives at most
//! `rate × t / 1000` and one [`Rate::portion`]; nothing is lost by rounding,
//! since rate × milliseconds counts thousandths of an attempt exactly. A purse
//! never holds more than a portion. So of n routes that share a bucket, all
//! together start at most `rate × t / 1000` attempts and n + 1 portions.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::domain::time::Millis;

/// Thousandths of an attempt in an attempt.
const WHOLE: u64 = 1_000;

/// Attempts a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(NonZeroU32);

impl Rate {
    /// `attempts` a second; none for 0, which means no limit.
    #[must_use]
    pub const fn per_second(attempts: u32) -> Option<Self> {
        match NonZeroU32::new(attempts) {
            Some(attempts) => Some(Self(attempts)),
            None => None,
        }
    }

    /// Attempts a second.
    #[must_use]
    pub const fn attempts(self) -> u32 {
        self.0.get()
    }

    /// A tenth of a second's worth, at least one: what is kept and drawn at a
    /// time.
    #[must_use]
    pub const fn portion(self) -> u32 {
        let tenth = self.0.get() / 10;
        if tenth == 0 { 1 } else { tenth }
    }

    /// How long it takes to earn `thousandths` of an attempt, rounded up.
    const fn time_for(self, thousandths: u64) -> Duration {
        Duration::from_millis(thousandths.div_ceil(self.0.get() as u64))
    }

    /// How long whoever asked for `want` and was given `granted` waits before
    /// asking again, when `there` thousandths of an attempt are left: until half
    /// a portion is there, so that nobody asks for each single one and nothing
    /// earned meanwhile is lost. Who was given nothing asks sooner: routes that
    /// ask at the same moments would else find what the first of them left.
    #[must_use]
    pub fn patience(self, want: u32, granted: u32, there: u64) -> Duration {
        let missing = want.saturating_sub(granted);
        if missing == 0 {
            return Duration::ZERO;
        }
        let share = if granted == 0 { 3 } else { 2 };
        let enough = missing.min(self.portion().div_ceil(share)).max(1);
        self.time_for((u64::from(enough) * WHOLE).saturating_sub(there))
    }
}

/// What was given, and when to ask for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Attempts that may start; at most as many as were asked for.
    pub granted: u32,
    /// How long to wait before asking for the rest; zero when nothing is left
    /// to be asked for.
    pub again: Duration,
}

/// The budget of all that share it.
#[derive(Clone, Debug)]
pub struct Bucket {
    rate: Rate,
    /// Thousandths of an attempt, at most a portion.
    level: u64,
    /// Up to when it has earned.
    at: Millis,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub const fn new(rate: Rate, now: Millis) -> Self {
        Self { rate, level: rate.portion() as u64 * WHOLE, at: now }
    }

    /// Takes up to `want` attempts. A clock that is set back earns nothing for
    /// the time it repeats, and goes on earning from there.
    pub fn take(&mut self, now: Millis, want: u32) -> Grant {
        let passed = now.0.saturating_sub(self.at.0);
        let earned = passed.saturating_mul(u64::from(self.rate.attempts()));
        let most = u64::from(self.rate.portion()) * WHOLE;
        self.level = self.level.saturating_add(earned).min(most);
        self.at = now;
        let granted = u64::from(want).min(self.level / WHOLE);
        self.level -= granted * WHOLE;
        // No more than `want`, which fits.
        let granted = u32::try_from(granted).unwrap_or(want);
        Grant { granted, again: self.rate.patience(want, granted, self.level) }
    }
}

/// What a route drew and has not spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purse {
    rate: Rate,
    held: u32,
}

impl Purse {
    /// An empty one.
    #[must_use]
    pub const fn new(rate: Rate) -> Self {
        Self { rate, held: 0 }
    }

    /// Its rate.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Attempts that may start now.
    #[must_use]
    pub const fn held(&self) -> u32 {
        self.held
    }

    /// One attempt starts. Returns whether it may.
    pub const fn spend(&mut self) -> bool {
        let may = self.held > 0;
        self.held = self.held.saturating_sub(1);
        may
    }

    /// How many to ask for: what makes it full, once half of it is spent; so
    /// it is asked for ahead of need, and an idle route asks for nothing.
    #[must_use]
    pub const fn wants(&self) -> u32 {
        let portion = self.rate.portion();
        if self.held <= portion / 2 { portion - self.held } else { 0 }
    }

    /// Takes up what was given; what does not fit is lost.
    pub fn fill(&mut self, granted: u32) {
        self.held = self.held.saturating_add(granted).min(self.rate.portion());
    }
}

#[cfg(test)]
mod tests {
    use super::{Bucket, Grant, Millis, Purse, Rate};
    use proptest::prelude::*;
    use std::time::Duration;

    fn rate(attempts: u32) -> Rate {
        Rate::per_second(attempts).unwrap()
    }

    #[test]
    fn no_rate_is_no_limit() {
        assert_eq!(Rate::per_second(0), None);
        assert_eq!([1, 9, 19, 10_000].map(|n| rate(n).portion()), [1, 1, 1, 1_000]);
    }

    #[test]
    fn one_a_second_is_one_a_second() {
        let mut bucket = Bucket::new(rate(1), Millis(0));
        let second = Duration::from_secs(1);
        assert_eq!(bucket.take(Millis(0), 1), Grant { granted: 1, again: Duration::ZERO });
        assert_eq!(bucket.take(Millis(0), 1), Grant { granted: 0, again: second });
        let left = Duration::from_millis(1);
        assert_eq!(bucket.take(Millis(999), 1), Grant { granted: 0, again: left });
        assert_eq!(bucket.take(Millis(1_000), 1).granted, 1);
    }

    #[test]
    fn what_nobody_takes_is_kept_for_a_tenth_of_a_second() {
        let mut bucket = Bucket::new(rate(1_000), Millis(0));
        assert_eq!(bucket.take(Millis(3_600_000), 5_000).granted, 100);
        assert_eq!(bucket.take(Millis(3_600_000), 5_000).granted, 0);
    }

    #[test]
    fn a_clock_set_back_stops_nobody_and_gives_nothing() {
        let mut bucket = Bucket::new(rate(1_000), Millis(3_600_000));
        assert_eq!(bucket.take(Millis(3_600_000), 100).granted, 100);
        assert_eq!(bucket.take(Millis(0), 100).granted, 0);
        assert_eq!(bucket.take(Millis(50), 100).granted, 50);
    }

    #[test]
    fn a_purse_asks_once_half_of_it_is_spent_and_never_for_more_than_fits() {
        let mut purse = Purse::new(rate(1_000));
        assert!(!purse.spend());
        assert_eq!(purse.wants(), 100);
        purse.fill(100);
        for _ in 0..49 {
            assert!(purse.spend());
        }
        assert_eq!(purse.wants(), 0);
        assert!(purse.spend());
        assert_eq!(purse.wants(), 50);
        purse.fill(u32::MAX);
        assert_eq!(purse.held(), 100);
    }

    proptest! {
        #[test]
        fn in_any_window_at_most_rate_times_time_and_a_portion(
            attempts in 1_u32..=1_000_000,
            moves in proptest::collection::vec((0_u64..400, 0_u32..200_000), 1..60),
        ) {
            let mut bucket = Bucket::new(rate(attempts), Millis(0));
            let mut now = 0;
            let mut given = Vec::new();
            for (wait, want) in moves {
                now += wait;
                let grant = bucket.take(Millis(now), want);
                prop_assert!(grant.granted <= want);
                given.push((now, u64::from(grant.granted)));
            }
            let portion = u64::from(rate(attempts).portion());
            for first in 0..given.len() {
                let mut sum = 0;
                for (at, granted) in &given[first..] {
                    sum += granted;
                    let earned = (at - given[first].0) * u64::from(attempts);
                    prop_assert!(sum * 1_000 <= earned + portion * 1_000);
                }
            }
        }

        #[test]
        fn whoever_asks_when_told_to_gets_all_of_it_without_drift(
            attempts in 1_u32..=1_000_000,
            seconds in 1_u64..20,
        ) {
            let (mut bucket, mut purse) = (Bucket::new(rate(attempts), Millis(0)), Purse::new(rate(attempts)));
            let (mut now, mut spent) = (0, 0_u64);
            while now <= seconds * 1_000 {
                let grant = bucket.take(Millis(now), purse.wants());
                purse.fill(grant.granted);
                prop_assert!(purse.held() <= rate(attempts).portion());
                while purse.spend() {
                    spent += 1;
                }
                now += u64::try_from(grant.again.as_millis()).unwrap();
            }
            let (all, portion) = (seconds * u64::from(attempts), u64::from(rate(attempts).portion()));
            prop_assert!(spent <= all + portion, "{spent} of {all}");
            prop_assert!(spent + portion >= all, "{spent} of {all}");
        }
    }
}
