//! This process among those that share its store: what it may work on, whether
//! it hears the others, what it has to tell them.
//!
//! Alone, nothing here limits anything: leases are for ever, the gate stays
//! open, nobody has to be told. In a cluster the actors `keeper` (leases and
//! partitions), `herald` (what the others tell) and `teller` (what they are
//! told) move these values; everybody else only looks at them.

pub(crate) mod gate;
pub mod lease;
pub(crate) mod outbox;
pub(crate) mod peers;

pub(crate) use gate::Gate;
pub(crate) use lease::{Lease, Watch};
pub(crate) use outbox::Outbox;
pub(crate) use peers::Peers;
