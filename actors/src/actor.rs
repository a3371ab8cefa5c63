//! Thin actor shells around the policies, one actor a file.

pub(crate) mod citizen;
pub(crate) mod connection;
pub(crate) mod hub;
pub(crate) mod partition;
pub(crate) mod route;
pub(crate) mod sweeper;
pub(crate) mod ticker;
