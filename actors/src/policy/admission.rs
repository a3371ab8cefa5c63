//! Admission: overload is refused before a message is accepted (promise 4),
//! never dropped after.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Limits of the intake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Submissions between arrival and durability at one time. Bounds the
    /// memory held by the group commit.
    pub in_flight: usize,
    /// Accepted messages whose turn is not yet taken. Bounds the disk a dead
    /// engine would have to catch up with.
    pub backlog: u64,
}

/// Decides whether one more submission may enter.
#[derive(Debug)]
pub struct Admission {
    limits: AdmissionLimits,
    in_flight: Arc<AtomicUsize>,
}

/// The right to be between arrival and durability; given back on drop.
#[derive(Debug)]
pub struct Permit(Arc<AtomicUsize>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a refused sender is told while the group commit is saturated: it
/// drains in milliseconds, and HTTP counts whole seconds.
const RETRY_IN_FLIGHT: Duration = Duration::from_secs(1);
/// What a refused sender is told while the backlog is full.
const RETRY_BACKLOG: Duration = Duration::from_secs(10);

impl Admission {
    /// An admission with nothing in flight.
    #[must_use]
    pub fn new(limits: AdmissionLimits) -> Self {
        Self { limits, in_flight: Arc::default() }
    }

    /// Admits one more submission, given the messages now waiting.
    ///
    /// # Errors
    /// How long the sender should wait before trying again.
    pub fn admit(&self, backlog: u64) -> Result<Permit, Duration> {
        if backlog >= self.limits.backlog {
            return Err(RETRY_BACKLOG);
        }
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let permit = Permit(Arc::clone(&self.in_flight));
        if before >= self.limits.in_flight { Err(RETRY_IN_FLIGHT) } else { Ok(permit) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Admission, AdmissionLimits};

    const LIMITS: AdmissionLimits = AdmissionLimits { in_flight: 2, backlog: 10 };

    #[test]
    fn refuses_beyond_the_limit_in_flight_and_admits_again_after() {
        let admission = Admission::new(LIMITS);
        let first = admission.admit(0);
        let second = admission.admit(0);
        assert!(first.is_ok() && second.is_ok());
        assert!(admission.admit(0).is_err());
        drop(first);
        assert!(admission.admit(0).is_ok());
    }

    #[test]
    fn refuses_while_the_backlog_is_full() {
        let admission = Admission::new(LIMITS);
        assert!(admission.admit(10).is_err());
        assert!(admission.admit(9).is_ok());
    }
}
