//! The guard against a provider that refuses everybody.
//!
//! A refused recipient is final: a push token is dropped, an address counts as
//! not validated any more, the delivery ends. One such answer is about the
//! recipient. A long run of them without one acceptance is about us or the
//! provider (a relay that may not send for us, an account of the wrong app),
//! and believing it would destroy what no provider can give back. From
//! [`MOST_IN_A_ROW`] on they are taken for failures of the provider: the
//! delivery waits, nothing is dropped, the breaker opens. One acceptance
//! lowers the guard.
//!
//! One guard serves all connections of a route. It begins anew with the
//! process: a crash costs at most another [`MOST_IN_A_ROW`] recipients.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::domain::answer::Answer;
use crate::domain::outcome::Failure;

/// Refused recipients in a row, without an acceptance, that are believed.
pub const MOST_IN_A_ROW: u32 = 20;

/// See the module's text.
#[derive(Debug, Default)]
pub struct RefusalGuard {
    in_a_row: AtomicU32,
}

impl RefusalGuard {
    /// What to make of `answer`.
    #[must_use]
    pub fn judge(&self, answer: Answer) -> Answer {
        let reason = match &answer {
            Answer::Accepted => {
                // Written only when it changes: all connections read it.
                if self.in_a_row.load(Ordering::Relaxed) != 0 {
                    self.in_a_row.store(0, Ordering::Relaxed);
                }
                return answer;
            }
            Answer::DropToken { reason, .. }
            | Answer::Fail { failure: Failure::RefusedEndpoint | Failure::EndpointGone, reason } => {
                *reason
            }
            _ => return answer,
        };
        // Stops at the limit, so that it cannot wrap.
        let count = |refused: u32| (refused < MOST_IN_A_ROW).then(|| refused + 1);
        match self.in_a_row.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count) {
            Ok(_) => answer,
            Err(_) => Answer::ProviderFailed { after: None, reason },
        }
    }

    /// Whether refusals of recipients are not believed now.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.in_a_row.load(Ordering::Relaxed) >= MOST_IN_A_ROW
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Failure, MOST_IN_A_ROW, RefusalGuard};

    const GONE: Answer = Answer::DropToken { registered_before: None, reason: "5.1.1" };
    const REFUSED: Answer = Answer::Fail { failure: Failure::RefusedEndpoint, reason: "5.7.1" };

    fn raised() -> RefusalGuard {
        let guard = RefusalGuard::default();
        for round in 0..MOST_IN_A_ROW {
            assert!(!guard.is_raised());
            let answer = if round % 2 == 0 { GONE } else { REFUSED };
            assert_eq!(guard.judge(answer.clone()), answer);
        }
        assert!(guard.is_raised());
        guard
    }

    #[test]
    fn a_run_of_refused_recipients_is_a_failure_of_the_provider() {
        let guard = raised();
        for (answer, reason) in [(GONE, "5.1.1"), (REFUSED, "5.7.1")] {
            assert_eq!(guard.judge(answer), Answer::ProviderFailed { after: None, reason });
        }
    }

    #[test]
    fn one_acceptance_lowers_the_guard() {
        let guard = raised();
        assert_eq!(guard.judge(Answer::Accepted), Answer::Accepted);
        assert!(!guard.is_raised());
        assert_eq!(guard.judge(GONE), GONE);
    }

    #[test]
    fn answers_that_are_not_about_the_recipient_neither_raise_nor_lower_it() {
        let others = [
            Answer::Unknown { reason: "timeout" },
            Answer::RetryDelivery { after: None, reason: "451" },
            Answer::Fail { failure: Failure::RefusedContent, reason: "552" },
        ];
        let fresh = RefusalGuard::default();
        let guard = raised();
        for _ in 0..2 * MOST_IN_A_ROW {
            for answer in &others {
                assert_eq!(&fresh.judge(answer.clone()), answer);
                assert_eq!(&guard.judge(answer.clone()), answer);
            }
        }
        assert!(!fresh.is_raised() && guard.is_raised());
    }

    #[test]
    fn refusals_among_acceptances_are_always_believed() {
        let guard = RefusalGuard::default();
        for _ in 0..10 {
            for _ in 1..MOST_IN_A_ROW {
                assert_eq!(guard.judge(GONE), GONE);
            }
            assert_eq!(guard.judge(Answer::Accepted), Answer::Accepted);
        }
    }
}
