//! The sender API: IO's contract under `/api/v1`.
//!
//! Clients written for IO work unchanged; what is beyond it (Idempotency-Key,
//! `delivery`, `status_detail`, alerts) is only ever added.

pub mod alert;
mod content;
mod idempotency;
pub mod message;
pub mod message_view;
pub mod new_alert;
mod new_message;
pub mod permission;
pub mod profile;
