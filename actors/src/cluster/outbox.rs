//! The outbox: hints that the other nodes get a moment later, in one piece.
//!
//! A hint says where to look in the store, so hints of one kind add up to one,
//! and the outbox stays small whatever happens. It is emptied by the teller and
//! filled again when telling failed: no hint is lost while this process lives,
//! and whoever takes its partitions over looks at everything anyway.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::actor::teller::TellerMessage;
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::id::{MessageId, PartitionId, RouteId};
use crate::domain::lane::{ByLane, Lane};
use crate::domain::notice::Notice;
use crate::domain::time::Millis;
use crate::supervise::Address;

/// Slots of one partition's bells that are named; more of them mean everybody.
const NAMED: usize = 2_048;

/// Citizens named in one notice.
const CITIZENS: usize = 500;

#[derive(Default)]
struct Hints {
    arrived: BTreeMap<PartitionId, ByLane<u64>>,
    /// Empty: everybody.
    rung: BTreeMap<PartitionId, BTreeSet<u16>>,
    changed: BTreeSet<FiscalCode>,
    revoked: BTreeSet<FiscalCode>,
    alerts: BTreeSet<MessageId>,
    paused: BTreeMap<RouteId, Millis>,
    registered: bool,
}

/// See the module's text.
#[derive(Default)]
pub struct Outbox {
    /// Whether there is anybody to tell.
    clustered: bool,
    hints: Mutex<Hints>,
    pub(crate) teller: Address<TellerMessage>,
    poked: AtomicBool,
}

impl Outbox {
    /// An outbox for others to hear.
    pub fn clustered() -> Self {
        Self { clustered: true, ..Self::default() }
    }

    fn put(&self, hint: impl FnOnce(&mut Hints)) {
        if !self.clustered {
            return;
        }
        hint(&mut self.lock());
        if !self.poked.swap(true, Ordering::AcqRel) && !self.teller.cast(TellerMessage::Tell) {
            // None lives; the next one looks by itself.
            self.poked.store(false, Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Hints> {
        // No step of a change can fail: never half done.
        self.hints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The journal of `lane` reaches up to `tail`.
    pub fn arrived(&self, partition: PartitionId, lane: Lane, tail: u64) {
        self.put(|hints| {
            let tails = hints.arrived.entry(partition).or_default();
            tails[lane] = tails[lane].max(tail);
        });
    }

    /// The inboxes of the citizens of these slots changed.
    pub fn rung(&self, partition: PartitionId, slots: impl Iterator<Item = u16>) {
        if !self.clustered {
            return;
        }
        let mut slots = slots.peekable();
        if slots.peek().is_some() {
            self.put(|hints| {
                let known = hints.rung.contains_key(&partition);
                let rung = hints.rung.entry(partition).or_default();
                if !(known && rung.is_empty()) {
                    rung.extend(slots);
                    if rung.len() > NAMED {
                        rung.clear();
                    }
                }
            });
        }
    }

    /// Any inbox of a partition may have changed.
    pub fn rung_all(&self, partition: PartitionId) {
        self.put(|hints| {
            hints.rung.insert(partition, BTreeSet::new());
        });
    }

    /// The record of a citizen may have changed.
    pub fn changed(&self, citizen: FiscalCode) {
        self.put(|hints| {
            hints.changed.insert(citizen);
        });
    }

    /// The sessions of a citizen are over.
    pub fn revoked(&self, citizen: FiscalCode) {
        self.put(|hints| {
            hints.revoked.insert(citizen);
        });
    }

    /// An alert changed.
    pub fn alert(&self, id: MessageId) {
        self.put(|hints| {
            hints.alerts.insert(id);
        });
    }

    /// A provider asked a route to wait.
    pub fn paused(&self, route: &RouteId, until: Millis) {
        self.put(|hints| {
            let known = hints.paused.entry(route.clone()).or_default();
            *known = (*known).max(until);
        });
    }

    /// The registry changed.
    pub fn registered(&self) {
        self.put(|hints| hints.registered = true);
    }

    /// Takes what there is to tell: from here on another poke may come.
    pub(crate) fn take(&self) -> Vec<Notice> {
        self.poked.swap(false, Ordering::AcqRel);
        let hints = std::mem::take(&mut *self.lock());
        let Hints { arrived, rung, changed, revoked, alerts, paused, registered } = hints;
        let arrived =
            arrived.into_iter().map(|(partition, tails)| Notice::Arrived { partition, tails });
        let rung = rung.into_iter().map(|(partition, slots)| Notice::Rung {
            partition,
            slots: slots.into_iter().collect(),
        });
        let paused = paused.into_iter().map(|(route, until)| Notice::Paused { route, until });
        let alerts = alerts.into_iter().map(|id| Notice::Alert { id });
        let changed: Vec<_> = changed.into_iter().collect();
        let changed =
            changed.chunks(CITIZENS).map(|codes| Notice::Changed { citizens: codes.to_vec() });
        let changed: Vec<_> = changed.collect();
        let revoked = revoked.into_iter().map(|citizen| Notice::Revoked { citizen });
        let registered = registered.then_some(Notice::Registered);
        changed
            .into_iter()
            .chain(arrived)
            .chain(rung)
            .chain(revoked)
            .chain(alerts)
            .chain(paused)
            .chain(registered)
            .collect()
    }

    /// Puts back what could not be told.
    pub(crate) fn put_back(&self, notices: Vec<Notice>) {
        for notice in notices {
            match notice {
                Notice::Arrived { partition, tails } => {
                    tails.iter().for_each(|(lane, tail)| self.arrived(partition, lane, *tail));
                }
                Notice::Rung { partition, slots } if slots.is_empty() => self.rung_all(partition),
                Notice::Rung { partition, slots } => self.rung(partition, slots.into_iter()),
                Notice::Changed { citizens } => {
                    citizens.into_iter().for_each(|citizen| self.changed(citizen));
                }
                Notice::Revoked { citizen } => self.revoked(citizen),
                Notice::Alert { id } => self.alert(id),
                Notice::Paused { route, until } => self.paused(&route, until),
                Notice::Registered => self.registered(),
                // Told by whoever has to know that it was.
                Notice::Released { .. } | Notice::Erase { .. } | Notice::Erased { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Lane, NAMED, Notice, Outbox, PartitionId};

    fn rung(outbox: &Outbox) -> Vec<u16> {
        match outbox.take().pop() {
            Some(Notice::Rung { slots, .. }) => slots,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn hints_of_a_kind_are_told_as_one() {
        let outbox = Outbox::clustered();
        outbox.arrived(PartitionId(3), Lane::Bulk, 7);
        outbox.arrived(PartitionId(3), Lane::Bulk, 5);
        outbox.arrived(PartitionId(3), Lane::Urgent, 2);
        let told = outbox.take();
        let [Notice::Arrived { partition: PartitionId(3), tails }] = told.as_slice() else {
            panic!("{told:?}")
        };
        assert_eq!((tails[Lane::Bulk], tails[Lane::Urgent], tails[Lane::Normal]), (7, 2, 0));
        assert!(outbox.take().is_empty());
        outbox.put_back(told.clone());
        assert_eq!(outbox.take(), told);
    }

    #[test]
    fn more_bells_than_can_be_named_are_everybodys() {
        let outbox = Outbox::clustered();
        outbox.rung(PartitionId(1), [5, 6, 5].into_iter());
        assert_eq!(rung(&outbox), [5, 6]);
        outbox.rung(PartitionId(1), 0..=u16::try_from(NAMED).expect("small"));
        outbox.rung(PartitionId(1), [5].into_iter());
        assert!(rung(&outbox).is_empty());
        outbox.rung(PartitionId(1), std::iter::empty());
        assert!(outbox.take().is_empty());
    }

    #[test]
    fn alone_there_is_nothing_to_tell() {
        let outbox = Outbox::default();
        outbox.arrived(PartitionId(3), Lane::Bulk, 7);
        outbox.rung_all(PartitionId(3));
        assert!(outbox.take().is_empty());
    }
}
