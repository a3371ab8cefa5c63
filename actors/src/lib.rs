//! The engine of Araldo: what a notification is, who may receive it, and the
//! supervised actors that carry it out.
//!
//! Layers, each importing only those above it:
//!
//! * [`domain`]: passive data.
//! * [`policy`]: pure decisions, `(now, state, event) -> effects`.
//! * [`port`]: what the engine needs from outside (store, provider, clock, rng).
//! * `message` and `actor`: mailboxes and thin actor shells around the policies.
//! * [`pipeline`]: the one function that spawns and wires them, sink first.
//!
//! The crate touches no file, socket, wall clock or random source: those come
//! through the ports, so every decision can be replayed in a test.

pub mod alert;
pub mod board;
pub mod budget;
pub mod cluster;
pub mod directory;
pub mod domain;
pub mod engine;
pub mod erasure;
pub mod live;
pub mod metric;
pub mod pipeline;
pub mod policy;
pub mod port;
pub mod supervise;

mod actor;
mod message;
