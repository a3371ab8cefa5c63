//! Wall clock of the simulators: arrivals are compared with times taken by another process on the same machine, so
//! they are Unix time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch.
#[must_use]
pub fn unix_us() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |passed| u64::try_from(passed.as_micros()).unwrap_or(u64::MAX))
}

/// Milliseconds since the Unix epoch.
#[must_use]
pub fn unix_ms() -> u64 {
    unix_us() / 1_000
}

/// Seconds since the Unix epoch.
#[must_use]
pub fn unix_s() -> u64 {
    unix_us() / 1_000_000
}
