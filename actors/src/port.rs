//! What the engine needs from outside, as traits: the edge implements them,
//! tests replace them by exact doubles (a paused clock, a seeded rng, the
//! in-memory store).

pub mod alert_store;
pub mod budget;
pub mod clock;
pub mod cluster;
pub mod provider;
pub mod rng;
pub mod store;
