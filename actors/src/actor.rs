//! Thin actor shells around the policies, one actor a file.

pub(crate) mod citizen;
pub(crate) mod connection;
pub(crate) mod herald;
pub(crate) mod hub;
pub(crate) mod keeper;
pub(crate) mod partition;
pub(crate) mod route;
pub(crate) mod sweeper;
pub(crate) mod teller;
pub(crate) mod ticker;
