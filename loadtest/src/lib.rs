//! Provider simulators and load tester of Araldo.
//!
//! The judge shares no code with the judged: this crate talks HTTP only and never imports the engine. It owns
//! the simulators of APNs, FCM and a relay with their own books, a synthetic population, a day's plan of messages, a
//! closed-loop HTTP driver, a stage that runs the real server against the simulators, Redis servers to kill, the audits that join what was
//! promised with what arrived, and the reference that pushes are measured against.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "a test that fails says where by panicking"
    )
)]

pub mod alert_audit;
pub mod audit;
pub mod catalogue;
pub mod citizen_token;
pub mod client;
pub mod driver;
pub mod experiment;
pub mod live;
pub mod morning;
pub mod population;
pub mod port;
pub mod redis_server;
pub mod reference;
pub mod simulator;
pub mod stage;
mod usage;
pub mod weather;
