//! The server: everything that touches the outside, and the assembly.

pub mod cli;
pub mod config;
pub mod http;
pub mod provider;
pub mod store;
pub mod telemetry;
