//! Mailboxes, one enum per actor, and what travels in them.

pub mod batch;
pub mod citizen;
pub mod connection;
pub mod hub;
pub mod partition;
pub mod route;
pub mod ticket;
