//! What the store on Redis promises beyond the contract of all stores: stale
//! owners, lost answers, killed servers, replicas that are missing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod alert;
mod back;
mod budget;
mod bus;
mod cluster;
mod cost;
mod crash;
mod deadline;
mod fence;
mod lease;
mod loss;
mod member;
mod open;
pub mod proxy;
mod replica;
mod sentinel;
mod shared;
