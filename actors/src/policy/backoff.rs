//! When to try again.
//!
//! Exponential with jitter: a transient failure is retried anywhere between
//! now and the bound (full jitter), so that a crowd spreads out. A wait that
//! the provider asked for is never shortened: there the jitter comes on top,
//! or a whole queue would return in the same instant and be refused again
//! (AWS "Exponential backoff and jitter"; RFC 9110 §10.2.3 for Retry-After).

use std::time::Duration;

/// Limits of the retries of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Upper bound of the first delay.
    pub base: Duration,
    /// Upper bound of every delay.
    pub max: Duration,
    /// Attempts that may end without an outcome before the delivery fails.
    pub budget: u16,
}

/// Longest wait a provider may ask for; Google's text stops at 60 minutes.
pub const LONGEST_HINT: Duration = Duration::from_hours(1);

/// The delay before retry number `retries + 1`, given a number `unit` from 0
/// up to 1 and the provider's wish.
#[must_use]
pub fn delay(policy: &RetryPolicy, retries: u16, hint: Option<Duration>, unit: f64) -> Duration {
    let doubled = 2_u32.saturating_pow(u32::from(retries).min(20));
    let bound = policy.base.saturating_mul(doubled).min(policy.max);
    let unit = unit.clamp(0.0, 1.0);
    match hint {
        Some(hint) => hint.min(LONGEST_HINT) + bound.mul_f64(unit / 2.0),
        None => bound.mul_f64(unit),
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, LONGEST_HINT, RetryPolicy, delay};
    use proptest::prelude::*;

    const POLICY: RetryPolicy =
        RetryPolicy { base: Duration::from_secs(1), max: Duration::from_secs(60), budget: 20 };

    #[test]
    fn upper_bounds_double_up_to_the_maximum() {
        let bounds: Vec<u64> =
            (0..8).map(|retries| delay(&POLICY, retries, None, 1.0).as_secs()).collect();
        assert_eq!(bounds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(delay(&POLICY, u16::MAX, None, 1.0), POLICY.max);
    }

    proptest! {
        #[test]
        fn never_above_the_bound(retries in 0_u16..2_000, unit in 0.0_f64..1.0) {
            prop_assert!(delay(&POLICY, retries, None, unit) <= POLICY.max);
        }

        #[test]
        fn a_hint_is_never_shortened(
            retries in 0_u16..40, unit in 0.0_f64..1.0, hint in 0_u64..3_600,
        ) {
            let hint = Duration::from_secs(hint);
            let wait = delay(&POLICY, retries, Some(hint), unit);
            prop_assert!(wait >= hint);
            prop_assert!(wait <= hint + POLICY.max);
        }

        #[test]
        fn waits_beyond_a_hint_grow_with_the_retries(retries in 0_u16..5) {
            let hint = Some(Duration::from_secs(10));
            let wait = |retries| delay(&POLICY, retries, hint, 0.5);
            prop_assert!(wait(retries + 1) > wait(retries));
        }

        #[test]
        fn a_hint_is_capped(hint in 3_600_u64..1_000_000_000) {
            let wait = delay(&POLICY, 0, Some(Duration::from_secs(hint)), 0.0);
            prop_assert_eq!(wait, LONGEST_HINT);
        }
    }
}
