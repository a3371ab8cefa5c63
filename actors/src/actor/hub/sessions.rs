//! The sessions of one hub, by citizen, within the limits of the house.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;

use crate::domain::fiscal_code::FiscalCode;
use crate::live::{LiveLimits, LiveRefused, LiveSession};
use crate::message::hub::Bells;

/// What all hubs share: the limits, and how many sessions there are.
pub(crate) struct House {
    limits: LiveLimits,
    open: AtomicUsize,
}

impl House {
    /// An empty house.
    pub(crate) const fn new(limits: LiveLimits) -> Self {
        Self { limits, open: AtomicUsize::new(0) }
    }

    /// Sessions now open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Takes a place; false when the house is full.
    fn take(&self) -> bool {
        let next = |open| (open < self.limits.max_sessions).then_some(open + 1);
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    fn give_back(&self, places: usize) {
        self.open.fetch_sub(places, Ordering::Relaxed);
    }
}

/// A citizen's sessions.
struct Listeners {
    citizen: FiscalCode,
    bell: watch::Sender<()>,
    /// Places taken: the readers there were at the last look.
    places: usize,
}

impl Listeners {
    fn new(citizen: FiscalCode) -> Self {
        Self { citizen, bell: watch::Sender::new(()), places: 0 }
    }

    /// Forgets readers that have gone; returns how many.
    fn look(&mut self) -> usize {
        let here = self.bell.receiver_count().min(self.places);
        let gone = self.places - here;
        self.places = here;
        gone
    }
}

/// See the module's text. Dropping it ends every session.
pub(super) struct Sessions {
    house: Arc<House>,
    /// By slot of the bells; none is empty.
    slots: HashMap<usize, Vec<Listeners>>,
}

impl Drop for Sessions {
    fn drop(&mut self) {
        let places = self.slots.values().flatten().map(|listeners| listeners.places).sum();
        self.house.give_back(places);
    }
}

impl Sessions {
    pub(super) fn new(house: Arc<House>) -> Self {
        Self { house, slots: HashMap::new() }
    }

    fn of(&mut self, slot: usize, citizen: FiscalCode) -> Option<&mut Listeners> {
        let listeners = self.slots.get_mut(&slot)?;
        listeners.iter_mut().find(|listeners| listeners.citizen == citizen)
    }

    /// Opens a session of `citizen`.
    pub(super) fn enter(
        &mut self,
        citizen: FiscalCode,
        bells: &Bells,
    ) -> Result<LiveSession, LiveRefused> {
        let slot = bells.slot(&citizen);
        let gone = self.of(slot, citizen).map_or(0, Listeners::look);
        self.house.give_back(gone);
        let limit = self.house.limits.max_sessions_per_citizen;
        if self.of(slot, citizen).is_some_and(|listeners| listeners.places >= limit) {
            return Err(LiveRefused::TooManyOfCitizen);
        }
        if !self.house.take() {
            // Perhaps some of ours have gone unnoticed.
            self.look(bells);
            if !self.house.take() {
                return Err(LiveRefused::TooMany);
            }
        }
        let listeners = self.slots.entry(slot).or_default();
        let place = listeners.iter().position(|known| known.citizen == citizen);
        let place = place.unwrap_or_else(|| {
            bells.listen(slot);
            listeners.push(Listeners::new(citizen));
            listeners.len() - 1
        });
        listeners[place].places += 1;
        Ok(LiveSession { woken: listeners[place].bell.subscribe() })
    }

    /// Wakes all sessions of these slots; returns how many.
    pub(super) fn wake(&self, slots: &[usize]) -> usize {
        let mut woken = 0;
        for listeners in slots.iter().filter_map(|slot| self.slots.get(slot)).flatten() {
            listeners.bell.send_replace(());
            woken += listeners.places;
        }
        woken
    }

    /// Ends all sessions of `citizen`.
    pub(super) fn close(&mut self, citizen: FiscalCode, bells: &Bells) {
        if let Some(listeners) = self.of(bells.slot(&citizen), citizen) {
            listeners.bell = watch::Sender::new(());
        }
        self.look(bells);
    }

    /// Lets go of sessions whose reader has gone.
    pub(super) fn look(&mut self, bells: &Bells) {
        let house = &self.house;
        self.slots.retain(|slot, listeners| {
            listeners.retain_mut(|listeners| {
                house.give_back(listeners.look());
                let stays = listeners.places > 0;
                if !stays {
                    bells.leave(*slot);
                }
                stays
            });
            !listeners.is_empty()
        });
    }
}
