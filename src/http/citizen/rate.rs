//! How often one citizen, or one service, may call: GCRA over a fixed number of
//! cells.
//!
//! A caller's cell is found by a hash under a key of this process, so that
//! nobody can choose whom to share one with; two callers in one cell share
//! its rate. Memory is fixed: no cell is ever added or removed.

use std::num::NonZeroU32;
use std::time::Duration;

use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::ServiceId;
use governor::clock::{Clock, MonotonicClock};
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use crate::http::problem::{Kind, Problem};

/// Cells of 8 bytes. Of 10,000 citizens calling at one time, one in seven
/// shares a cell.
const CELLS: usize = 1 << 16;

/// A rate for each caller.
pub struct Rate {
    limiter: RateLimiter<usize, Cells, MonotonicClock>,
    key: [u8; 32],
}

struct Cells(Box<[InMemoryState]>);

impl StateStore for Cells {
    type Key = usize;

    fn measure_and_replace<T, F, E>(&self, cell: &usize, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0[cell % CELLS].measure_and_replace(&NotKeyed::NonKey, measure)
    }
}

impl Rate {
    /// At most `burst` calls at once, and one more every `refill`.
    pub fn new(burst: NonZeroU32, refill: Duration) -> Self {
        // A refill of no time would be no limit, and governor takes none.
        let quota = Quota::with_period(refill.max(Duration::from_nanos(1)));
        let quota = quota.unwrap_or(Quota::per_second(burst)).allow_burst(burst);
        let cells = (0..CELLS).map(|_| InMemoryState::default()).collect();
        Self { limiter: RateLimiter::new(quota, Cells(cells), MonotonicClock), key: rand::random() }
    }

    /// Counts a call of `citizen`.
    ///
    /// # Errors
    /// 429 with Retry-After.
    pub fn take(&self, citizen: &FiscalCode, detail: &'static str) -> Result<(), Problem> {
        self.take_of(citizen.as_bytes(), detail)
    }

    /// Counts a call of a service.
    ///
    /// # Errors
    /// 429 with Retry-After.
    pub fn take_service(&self, service: &ServiceId, detail: &'static str) -> Result<(), Problem> {
        self.take_of(service.as_str().as_bytes(), detail)
    }

    fn take_of(&self, caller: &[u8], detail: &'static str) -> Result<(), Problem> {
        let hash = blake3::keyed_hash(&self.key, caller);
        let (cell, _) = hash.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
        let cell = u64::from_le_bytes(*cell) % CELLS as u64;
        self.limiter.check_key(&usize::try_from(cell).unwrap_or(0)).map_err(|early| {
            let wait = early.wait_time_from(self.limiter.clock().now());
            Problem::new(Kind::TooManyRequests, detail).retry_after(wait)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, FiscalCode, NonZeroU32, Rate};

    #[test]
    fn a_citizen_beyond_the_burst_waits_and_others_do_not() {
        let rate = Rate::new(NonZeroU32::new(3).expect("not 0"), Duration::from_secs(60));
        let citizen = |text| FiscalCode::parse(text).expect("a code");
        let calls = |code| (0..5).filter(|_| rate.take(&citizen(code), "").is_ok()).count();
        assert_eq!(calls("AAAAAA00A00A000A"), 3);
        assert_eq!(calls("AAAAAA00A00A000B"), 3);
        assert_eq!(calls("AAAAAA00A00A000A"), 0);
    }
}
