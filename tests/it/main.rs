//! The integration tests: one binary, one file per behaviour.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test that fails says where by panicking"
)]

mod cli;
mod config;
mod crash;
mod demo;
mod engine;
mod faults;
mod http_edge;
mod http_kit;
mod http_openapi;
mod http_operator;
mod http_sender;
mod provider_apns;
mod provider_fcm;
mod provider_support;
mod sender_contract;
mod serve;
mod stage_kit;
mod store_alert;
mod store_citizen;
mod store_contract;
mod store_damage;
mod store_erase;
mod store_fixture;
mod store_inbox;
mod store_oracle;
