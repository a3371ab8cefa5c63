//! The server: everything that touches the outside, and the assembly.

pub mod address;
pub mod app;
pub mod cli;
pub mod config;
pub mod http;
pub mod link;
pub mod post;
pub mod provider;
pub mod secret;
pub mod store;
pub mod system;
pub mod telemetry;
