//! The machine's clock and random source, behind the engine's ports.

use araldo_actors::domain::time::Millis;
use araldo_actors::port::clock::Clock;
use araldo_actors::port::rng::Rng;
use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The thread's generator, seeded by the operating system.
pub struct SystemRng;

impl Rng for SystemRng {
    fn unit(&self) -> f64 {
        rand::random()
    }

    fn bits(&self) -> u128 {
        rand::random()
    }
}
