//! Mailboxes: one enum per actor.

pub mod partition;
