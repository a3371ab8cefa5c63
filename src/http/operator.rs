//! The operator API: organisations, services, keys, citizens, alerts, status.
//!
//! Viewers read, admins write, approvers see and stop alerts; a sender's key is
//! refused with 403.

pub mod alert;
pub mod citizen;
pub mod citizen_line;
pub mod cluster;
pub mod key;
pub mod organization;
mod page;
pub mod service;
pub mod status;
