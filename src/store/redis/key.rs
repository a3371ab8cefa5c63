//! Names of keys, and the slots they lie in.
//!
//! Everything of a partition has its number as hash tag, so that one script may
//! touch all of it wherever a Cluster keeps it; what all partitions share has a
//! tag of its own.

use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{MessageId, RouteId};
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::time::Millis;

use crate::store::ledger::BLOCK;

/// Slots of a Cluster (Redis cluster specification, "Key distribution model").
pub(super) const SLOTS: u16 = 16_384;

/// The largest whole number that a score keeps exactly.
const MAX_SCORE: u64 = 1 << 53;

/// What keys of a partition, or of all, begin with.
#[derive(Clone, Debug)]
pub(super) struct Space {
    begin: String,
    slot: u16,
}

impl Space {
    /// What is shared by all partitions.
    pub(super) fn shared(prefix: &str) -> Self {
        Self::new(prefix, "all")
    }

    /// One partition's.
    pub(super) fn of(prefix: &str, partition: u16) -> Self {
        Self::new(prefix, &format!("p{partition}"))
    }

    fn new(prefix: &str, tag: &str) -> Self {
        let slot = crc16::State::<crc16::XMODEM>::calculate(tag.as_bytes()) % SLOTS;
        Self { begin: format!("{prefix}:{{{tag}}}:"), slot }
    }

    /// The slot all its keys lie in.
    pub(super) const fn slot(&self) -> u16 {
        self.slot
    }

    /// A key by its name.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.begin)
    }

    /// Counters: token, epoch, step, places of events, books, ordinals, and how
    /// far each journal reaches.
    pub(super) fn counters(&self) -> String {
        self.key("counters")
    }

    /// Who may work on the partition: an incarnation, until it expires.
    pub(super) fn lease(&self) -> String {
        self.key("lease")
    }

    pub(super) fn messages(&self) -> String {
        self.key("messages")
    }

    pub(super) fn states(&self) -> String {
        self.key("states")
    }

    /// Citizens by ordinal.
    pub(super) fn citizens(&self) -> String {
        self.key("citizens")
    }

    /// Ordinals by fiscal code.
    pub(super) fn index(&self) -> String {
        self.key("index")
    }

    /// Who validated an address, by its hash.
    pub(super) fn addresses(&self) -> String {
        self.key("addresses")
    }

    /// Rows of `addresses`, here or elsewhere, that may still name a citizen of
    /// this partition who no longer has the address.
    pub(super) fn loose(&self) -> String {
        self.key("loose")
    }

    /// Pending requests to be deleted, by when they are due.
    pub(super) fn deletions(&self) -> String {
        self.key("deletions")
    }

    /// Records of erased citizens, by when it was done and whose they are.
    pub(super) fn erasures(&self) -> String {
        self.key("erasures")
    }

    /// The fields of `erasures` in their order.
    pub(super) fn erasures_by_time(&self) -> String {
        self.key("erasures_by_time")
    }

    pub(super) fn claims(&self) -> String {
        self.key("claims")
    }

    pub(super) fn claims_by_time(&self) -> String {
        self.key("claims_by_time")
    }

    /// Routes that ever had a due entry here.
    pub(super) fn routes(&self) -> String {
        self.key("routes")
    }

    pub(super) fn journal(&self, lane: Lane) -> String {
        self.key(&format!("journal:{}", lane.number()))
    }

    pub(super) fn due(&self, route: &RouteId, lane: Lane) -> String {
        self.key(&format!("due:{}:{route}", lane.number()))
    }

    pub(super) fn inbox(&self, ordinal: u32) -> String {
        self.key(&format!("inbox:{ordinal}"))
    }

    /// Places where marks changed, of a citizen's inbox.
    pub(super) fn changes(&self, ordinal: u32) -> String {
        self.key(&format!("changes:{ordinal}"))
    }

    /// Messages addressed to somebody, known or not.
    pub(super) fn addressed(&self, code: &FiscalCode) -> String {
        self.key(&format!("addressed:{}", code.as_str()))
    }

    /// Cursors of an alert, by walk.
    pub(super) fn cursors(&self, alert: MessageId) -> String {
        self.key(&format!("cursors:{alert}"))
    }

    /// Runs of one walk of an alert.
    pub(super) fn ledger(&self, alert: MessageId, walk: &str) -> String {
        self.key(&format!("ledger:{alert}:{walk}"))
    }

    /// Alerts with members in the block that `ordinal` lies in.
    pub(super) fn shown(&self, ordinal: u32) -> String {
        self.key(&format!("shown:{}", ordinal / BLOCK))
    }

    /// Records of alerts; shared by all partitions, like the next two.
    pub(super) fn alerts(&self) -> String {
        self.key("alerts")
    }

    /// Their ids in order.
    pub(super) fn alert_ids(&self) -> String {
        self.key("alert_ids")
    }

    /// Those that are running or paused, in order.
    pub(super) fn open_alerts(&self) -> String {
        self.key("open_alerts")
    }

    /// Partitions that have nothing left of an alert; shared by all.
    pub(super) fn closed(&self, alert: MessageId) -> String {
        self.key(&format!("closed:{alert}"))
    }

    /// Organisations, services and keys; shared by all partitions.
    pub(super) fn registry(&self) -> String {
        self.key("registry")
    }

    /// Version and number of partitions; shared by all.
    pub(super) fn format(&self) -> String {
        self.key("format")
    }

    /// What the number of replicas is asked about.
    pub(super) fn pulse(&self) -> String {
        self.key("pulse")
    }
}

/// Field of a lane's checkpoint among the counters.
pub(super) fn checkpoint(lane: Lane) -> String {
    format!("checkpoint:{}", lane.number())
}

/// Field of a lane's tail among the counters.
pub(super) fn tail(lane: Lane) -> String {
    format!("tail:{}", lane.number())
}

/// An instant as a score.
pub(super) fn score(at: Millis) -> String {
    at.0.min(MAX_SCORE).to_string()
}

/// A place as the end of a range of scores, itself included.
pub(super) fn place(place: u64) -> String {
    if place > MAX_SCORE { "+inf".to_owned() } else { place.to_string() }
}

#[cfg(test)]
mod tests {
    use super::{Lane, Space};

    #[test]
    fn keys_of_a_partition_share_a_slot_and_installations_share_no_key() {
        let space = Space::of("araldo", 17);
        assert_eq!(space.journal(Lane::Bulk), "araldo:{p17}:journal:3");
        // CLUSTER KEYSLOT araldo:{p17}:states
        assert_eq!(space.slot(), 10_264);
        assert_eq!(Space::of("other", 17).slot(), space.slot());
        assert_ne!(Space::of("other", 17).states(), space.states());
        assert_ne!(Space::shared("araldo").slot(), space.slot());
    }
}
