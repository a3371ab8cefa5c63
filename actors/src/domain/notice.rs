//! What nodes tell each other the moment it happened.
//!
//! A notice is never the only carrier of a fact: the store holds it. Who missed
//! notices looks at the store again (see [`Cluster`](crate::port::cluster)).

use serde::{Deserialize, Serialize};

use super::fiscal_code::FiscalCode;
use super::id::{MessageId, PartitionId, RouteId};
use super::lane::ByLane;
use super::time::Millis;

/// Nodes of the version before skip a notice they cannot read and look at the
/// store instead: so variants are added at the end and never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// The journals of a partition reach up to these entries.
    Arrived {
        /// Which.
        partition: PartitionId,
        /// The first entry of each journal not yet written.
        tails: ByLane<u64>,
    },
    /// Records of citizens changed.
    Changed {
        /// Whose.
        citizens: Vec<FiscalCode>,
    },
    /// Inboxes changed.
    Rung {
        /// Of which partition.
        partition: PartitionId,
        /// Whose, by the slot of their hash; none: anybody's.
        slots: Vec<u16>,
    },
    /// The sessions of a citizen are over.
    Revoked {
        /// Whose.
        citizen: FiscalCode,
    },
    /// Organisations, services or keys changed.
    Registered,
    /// An alert was accepted, or its status changed.
    Alert {
        /// Which.
        id: MessageId,
    },
    /// A partition is free to be taken over.
    Released {
        /// Which.
        partition: PartitionId,
    },
    /// Somebody wants a citizen erased by the owner of their partition.
    Erase {
        /// Names the request.
        request: u128,
        /// Who.
        citizen: FiscalCode,
        /// Only if their own request for it is still pending.
        if_asked: bool,
    },
    /// The answer to such a request.
    Erased {
        /// Which request.
        request: u128,
        /// Messages removed; none: too many wait to be erased.
        messages: Option<u64>,
    },
    /// A provider asked a route of everybody's to wait.
    Paused {
        /// Which.
        route: RouteId,
        /// Until when.
        until: Millis,
    },
}
