//! Admission: overload is refused before a message is accepted (promise 4),
//! never dropped after; and no lane's overload refuses the others, since each
//! has a reserve of both limits (promise 5).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::lane::{ByLane, Lane};
use crate::policy::shares::Shares;

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
    in_flight: Shares,
    backlog: Shares,
    entered: Arc<Entered>,
}

/// Submissions between arrival and durability.
#[derive(Debug, Default)]
struct Entered(Mutex<ByLane<usize>>);

impl Entered {
    fn lock(&self) -> MutexGuard<'_, ByLane<usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to be between arrival and durability; given back on drop.
#[derive(Debug)]
pub struct Permit(Lane, Arc<Entered>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.1.lock()[self.0] -= 1;
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
        Self {
            in_flight: Shares::new(limits.in_flight),
            backlog: Shares::new(count(limits.backlog)),
            entered: Arc::default(),
        }
    }

    /// Admits one more submission of `lane`, given the messages now waiting.
    ///
    /// # Errors
    /// How long the sender should wait before trying again.
    pub fn admit(&self, lane: Lane, backlog: &ByLane<u64>) -> Result<Permit, Duration> {
        if self.backlog.room(lane, &backlog.map(|waiting| count(*waiting))) == 0 {
            return Err(RETRY_BACKLOG);
        }
        let mut entered = self.entered.lock();
        if self.in_flight.room(lane, &entered) == 0 {
            return Err(RETRY_IN_FLIGHT);
        }
        entered[lane] += 1;
        Ok(Permit(lane, Arc::clone(&self.entered)))
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Admission, AdmissionLimits, ByLane, Lane};

    const LIMITS: AdmissionLimits = AdmissionLimits { in_flight: 2, backlog: 10 };

    fn waiting(normal: u64) -> ByLane<u64> {
        ByLane::only(Lane::Normal, normal)
    }

    #[test]
    fn refuses_beyond_the_limit_in_flight_and_admits_again_after() {
        let admission = Admission::new(LIMITS);
        let admit = || admission.admit(Lane::Normal, &waiting(0));
        let first = admit();
        let second = admit();
        assert!(first.is_ok() && second.is_ok());
        assert!(admit().is_err());
        drop(first);
        assert!(admit().is_ok());
    }

    #[test]
    fn refuses_while_the_backlog_is_full() {
        let admission = Admission::new(LIMITS);
        // One of ten is reserved for each of the other lanes.
        assert!(admission.admit(Lane::Normal, &waiting(7)).is_err());
        assert!(admission.admit(Lane::Normal, &waiting(6)).is_ok());
    }

    #[test]
    fn an_emergency_is_admitted_though_other_lanes_filled_everything_they_may() {
        let admission = Admission::new(AdmissionLimits { in_flight: 10, backlog: 10 });
        let full = ByLane::only(Lane::Bulk, 7);
        assert!(admission.admit(Lane::Bulk, &full).is_err());
        assert!(admission.admit(Lane::Emergency, &full).is_ok());
        let bulk: Vec<_> =
            std::iter::from_fn(|| admission.admit(Lane::Bulk, &waiting(0)).ok()).collect();
        assert_eq!(bulk.len(), 7);
        assert!(admission.admit(Lane::Emergency, &waiting(0)).is_ok());
    }

    #[test]
    fn emergencies_do_not_shut_bulk_out() {
        let admission = Admission::new(LIMITS);
        let full = ByLane::only(Lane::Emergency, 7);
        assert!(admission.admit(Lane::Emergency, &full).is_err());
        assert!(admission.admit(Lane::Bulk, &full).is_ok());
    }
}
