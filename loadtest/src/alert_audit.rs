//! The audit of an alert: every device of the audience exactly once, and nobody else's.
//!
//! Owns nothing. The devices that should be reached are worked out from the population, those that were come from the
//! simulators' books; both sides are hashes, so that a million of each are two lists of 8 MB.

use serde::{Deserialize, Serialize};

use crate::population::{Citizen, Population};
use crate::simulator::Record;
use crate::simulator::mix::hash_bytes;

/// What an alert did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertAudit {
    /// Devices (or addresses) it should reach.
    pub expected: u64,
    /// Those it reached.
    pub reached: u64,
    /// Those it did not.
    pub missing: u64,
    /// Deliveries to a device beyond its first, under ids of their own.
    pub excess: u64,
    /// Deliveries to devices outside the audience.
    pub strangers: u64,
    /// Accepts beyond the first of the same delivery.
    pub duplicates: u64,
    /// Deliveries of other messages, or of none, in the same books.
    pub others: u64,
}

impl AlertAudit {
    /// Whether each device was reached, once in the books, and no other was. Duplicates are judged apart: a crash may cause
    /// some.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.missing == 0 && self.excess == 0 && self.strangers == 0
    }
}

/// A device or an address, as the simulators' records name it.
#[must_use]
pub fn recipient(token_or_address: &str) -> u64 {
    hash_bytes(token_or_address.as_bytes())
}

/// Every device of the citizens that `belongs` says yes to.
pub fn devices(population: &Population, belongs: impl Fn(&Citizen) -> bool) -> Vec<u64> {
    let citizens = (0..population.size()).map(|index| population.citizen(index));
    let members = citizens.filter(|citizen| belongs(citizen));
    let tokens = |citizen: Citizen| citizen.devices.into_iter().map(|device| device.token);
    members.flat_map(tokens).map(|token| recipient(&token)).collect()
}

/// Joins what should be with what was.
#[must_use]
pub fn audit_alert(message: u128, mut expected: Vec<u64>, records: &[Record]) -> AlertAudit {
    let mut audit = AlertAudit { expected: expected.len() as u64, ..AlertAudit::default() };
    let mut seen = Vec::with_capacity(expected.len());
    for record in records {
        if record.message == message {
            audit.duplicates += u64::from(record.accepted.saturating_sub(1));
            seen.push(record.device);
        } else {
            audit.others += 1;
        }
    }
    expected.sort_unstable();
    seen.sort_unstable();
    let mut seen = seen.into_iter().peekable();
    for device in expected {
        while seen.next_if(|other| *other < device).is_some() {
            audit.strangers += 1;
        }
        if seen.next_if_eq(&device).is_none() {
            audit.missing += 1;
            continue;
        }
        audit.reached += 1;
        while seen.next_if_eq(&device).is_some() {
            audit.excess += 1;
        }
    }
    audit.strangers += seen.count() as u64;
    audit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(delivery: u128, message: u128, device: u64, accepted: u32) -> Record {
        Record { delivery, message, device, first_accept_us: 1, accepted }
    }

    #[test]
    fn each_device_once_is_exact() {
        let records = [record(1, 7, 30, 1), record(2, 7, 10, 1), record(3, 7, 20, 1)];
        let audit = audit_alert(7, vec![20, 10, 30], &records);
        assert!(audit.is_exact());
        assert_eq!((audit.expected, audit.reached, audit.duplicates), (3, 3, 0));
    }

    #[test]
    fn missing_doubled_foreign_and_repeated_are_told_apart() {
        let records = [
            record(1, 7, 10, 3),
            record(2, 7, 10, 1),
            record(3, 7, 15, 1),
            record(4, 7, 99, 1),
            record(5, 8, 20, 1),
        ];
        let audit = audit_alert(7, vec![10, 20, 30], &records);
        assert!(!audit.is_exact());
        assert_eq!((audit.reached, audit.missing, audit.excess), (1, 2, 1));
        assert_eq!((audit.strangers, audit.duplicates, audit.others), (2, 2, 1));
    }
}
