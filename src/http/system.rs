//! Health, metrics and the description of the API: no key is asked for.

pub mod health;
pub mod metrics;
pub mod openapi;
mod refusal;
