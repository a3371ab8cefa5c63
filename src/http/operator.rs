//! The operator API: organisations, services, keys, citizens, status.
//!
//! Viewers read, admins write; a sender's key is refused with 403.

pub mod citizen;
pub mod citizen_line;
pub mod key;
pub mod organization;
mod page;
pub mod service;
pub mod status;
