//! Circuit breaker of a route: after a run of failures nobody knocks but one
//! probe per back-off step.
//!
//! `closed --(threshold failures in a row)--> open --(time)--> probation`,
//! then `--success--> closed` or `--failure--> open` for twice as long.

use std::time::Duration;

use crate::domain::time::Millis;

/// Limits of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerLimits {
    /// Failures in a row that open it.
    pub threshold: u32,
    /// How long it stays open at first.
    pub base: Duration,
    /// How long it stays open at most.
    pub max: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Millis, step: u32 },
    Probation { step: u32, probing: bool },
}

/// A circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    limits: BreakerLimits,
    state: State,
}

/// How many attempts may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// As many as the windows take.
    All,
    /// One, to see whether the provider is back.
    Probe,
    /// None.
    Nothing,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub const fn new(limits: BreakerLimits) -> Self {
        Self { limits, state: State::Closed { failures: 0 } }
    }

    /// What may start at `now`.
    pub fn allowance(&mut self, now: Millis) -> Allowance {
        if let State::Open { until, step } = self.state
            && now >= until
        {
            self.state = State::Probation { step, probing: false };
        }
        match self.state {
            State::Closed { .. } => Allowance::All,
            State::Probation { probing: false, .. } => Allowance::Probe,
            State::Probation { probing: true, .. } | State::Open { .. } => Allowance::Nothing,
        }
    }

    /// The probe has started.
    pub const fn probe(&mut self) {
        if let State::Probation { probing, .. } = &mut self.state {
            *probing = true;
        }
    }

    /// The probe ended without being an attempt (its message had expired).
    pub const fn unprobe(&mut self) {
        if let State::Probation { probing, .. } = &mut self.state {
            *probing = false;
        }
    }

    /// An attempt was answered, whatever the answer about its delivery: the
    /// provider works.
    pub const fn success(&mut self) {
        if !matches!(self.state, State::Open { .. }) {
            self.state = State::Closed { failures: 0 };
        }
    }

    /// The provider failed, or did not answer.
    pub fn failure(&mut self, now: Millis) {
        match self.state {
            State::Closed { failures } if failures + 1 < self.limits.threshold => {
                self.state = State::Closed { failures: failures + 1 };
            }
            State::Closed { .. } => self.open(now, 0),
            State::Probation { step, .. } => self.open(now, step + 1),
            // Late answers to attempts made before it opened.
            State::Open { .. } => {}
        }
    }

    fn open(&mut self, now: Millis, step: u32) {
        let length = self.limits.base.saturating_mul(2_u32.saturating_pow(step.min(20)));
        self.state = State::Open { until: now.after(length.min(self.limits.max)), step };
    }

    /// Whether it is not closed.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowance, Breaker, BreakerLimits, Duration, Millis};

    const LIMITS: BreakerLimits =
        BreakerLimits { threshold: 3, base: Duration::from_secs(1), max: Duration::from_secs(4) };

    fn opened(at: u64) -> Breaker {
        let mut breaker = Breaker::new(LIMITS);
        for _ in 0..3 {
            breaker.failure(Millis(at));
        }
        breaker
    }

    #[test]
    fn opens_only_after_a_run_of_failures() {
        let mut breaker = Breaker::new(LIMITS);
        for _ in 0..10 {
            breaker.failure(Millis(0));
            breaker.failure(Millis(0));
            breaker.success();
        }
        assert_eq!(breaker.allowance(Millis(0)), Allowance::All);
        assert_eq!(opened(0).allowance(Millis(999)), Allowance::Nothing);
    }

    #[test]
    fn lets_one_probe_through_and_closes_on_its_success() {
        let mut breaker = opened(0);
        assert_eq!(breaker.allowance(Millis(1_000)), Allowance::Probe);
        breaker.probe();
        assert_eq!(breaker.allowance(Millis(1_000)), Allowance::Nothing);
        breaker.success();
        assert_eq!(breaker.allowance(Millis(1_000)), Allowance::All);
    }

    #[test]
    fn each_failed_probe_doubles_the_wait_up_to_the_maximum() {
        let mut breaker = opened(0);
        let mut now = 1_000;
        for wait in [2_000, 4_000, 4_000] {
            assert_eq!(breaker.allowance(Millis(now)), Allowance::Probe);
            breaker.probe();
            breaker.failure(Millis(now));
            assert_eq!(breaker.allowance(Millis(now + wait - 1)), Allowance::Nothing);
            now += wait;
        }
    }

    #[test]
    fn a_probe_that_was_no_attempt_leaves_room_for_another() {
        let mut breaker = opened(0);
        assert_eq!(breaker.allowance(Millis(1_000)), Allowance::Probe);
        breaker.probe();
        breaker.unprobe();
        assert_eq!(breaker.allowance(Millis(1_000)), Allowance::Probe);
    }

    #[test]
    fn late_answers_do_not_close_an_open_breaker() {
        let mut breaker = opened(0);
        breaker.success();
        assert_eq!(breaker.allowance(Millis(10)), Allowance::Nothing);
    }
}
