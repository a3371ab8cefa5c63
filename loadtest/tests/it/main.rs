//! Integration tests of the load tester: real sockets, real TLS, real HTTP/2.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails says where by panicking"
)]

mod apns;
mod behaviour;
mod client;
mod control;
mod driver;
mod fcm;
mod live;
mod process;
mod smtp;
mod smtp_client;
mod stage;
