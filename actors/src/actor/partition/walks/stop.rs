//! Stops: what becomes of the walks of an alert that is paused, cancelled or
//! expired, or when the engine ends.
//!
//! No attempt starts, whatever is here: each looks at the alert's status
//! first. What is put down here is the rest: deliveries that wait in memory
//! become stragglers (a pause, the end of the engine) or end (a stop), and
//! stragglers end. What is in the air is waited for a little, so that whoever is
//! told of the end finds it in the books; after that stragglers end as the stop
//! says, and a load is stored when it lands. A crash before that leaves such a
//! load in no book, as nobody comes back for it.

use std::sync::Arc;
use std::time::Duration;

use super::{AlertWalk, Flight, State, Which};
use crate::actor::partition::state::Outcomes;
use crate::domain::alert::{AlertStatus, Cursor};
use crate::domain::ledger::Straggler;
use crate::domain::outcome::Outcome;
use crate::domain::time::Millis;
use crate::policy::walk;

/// How long a stop waits for the answers of stragglers in the air; later ones
/// end as it says.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it waits for loads in the air. Their deliveries are planned in the
/// books when they land, so nothing is left waiting there by a later one.
const LANDING: Duration = Duration::from_secs(1);

impl AlertWalk {
    /// Whether something of it is in flight.
    pub(super) fn is_busy(&self) -> bool {
        self.flights().next().is_some() || self.routes.iter().any(|walk| walk.storing > 0)
    }

    /// Whether nothing is left to do, and everything is stored.
    fn is_over(&self, stored: bool, now: Millis) -> bool {
        let waits = self.stragglers() > 0 || !stored;
        if waits || self.routes.iter().any(|walk| walk.retry.is_some() || walk.storing > 0) {
            return false;
        }
        let landed = self.routes.iter().all(|walk| walk.load.is_none());
        if self.running.verdict().is_some() {
            return landed || now >= self.running.stopped_at().after(LANDING);
        }
        let done = |cursor: &Cursor| walk::is_over(cursor, self.end);
        landed && self.reached >= self.end && self.routes.iter().all(|walk| done(&walk.cursor))
    }
}

impl State {
    /// Puts down what waits of alerts that do not run.
    pub(in crate::actor::partition) fn stop_walks(&mut self) {
        let now = self.now();
        for alert in 0..self.walks.alerts.len() {
            let walks = &mut self.walks.alerts[alert];
            let running = Arc::clone(&walks.running);
            let status = running.status();
            if now >= running.alert.expires_at && !status.is_final() {
                // Somebody else may have stopped it in this instant.
                let _ = self.context.alerts.stop(&running, AlertStatus::Expired, now);
            }
            if let Some(outcome) = running.verdict() {
                self.end_walks(alert, outcome, now);
            } else if self.draining.is_some() || status == AlertStatus::Paused {
                // Others have a use for the room.
                self.walks.alerts[alert].recent.clear();
                self.land_waiting(alert);
            }
        }
    }

    /// Settles the flights that are not in the air.
    fn land_waiting(&mut self, alert: usize) {
        for route in 0..self.routes.len() {
            for retry in [false, true] {
                let flight = self.walks.alerts[alert].routes[route].flight(retry);
                if flight.as_ref().is_some_and(|flight| flight.again.is_some()) {
                    self.settle(alert, route, retry);
                }
            }
        }
    }

    /// Ends what waits of an alert that was stopped.
    fn end_walks(&mut self, alert: usize, outcome: Outcome, now: Millis) {
        self.walks.alerts[alert].recent.clear();
        self.land_waiting(alert);
        let stopped_at = self.walks.alerts[alert].running.stopped_at();
        let late = now >= stopped_at.after(PATIENCE);
        for route in 0..self.routes.len() {
            let walk = &self.walks.alerts[alert].routes[route];
            if late && walk.retry.is_some() {
                // Whatever the missing answers are, the outcome is this one.
                self.take_in(alert, route, true);
                self.settle(alert, route, true);
            }
            let walk = &self.walks.alerts[alert].routes[route];
            let flies = |one: &Straggler| walk.retry.as_ref().is_some_and(|f| f.has(one));
            if let Some(landing) = walk::give_up(&walk.cursor, outcome, |one| !flies(one)) {
                self.step(alert, Which::Route(route), landing, Vec::new(), None);
            }
        }
        for lost in 0..self.walks.alerts[alert].lost.len() {
            let cursor = &self.walks.alerts[alert].lost[lost].1;
            if let Some(landing) = walk::give_up(cursor, outcome, |_| true) {
                self.step(alert, Which::Lost(lost), landing, Vec::new(), None);
            }
        }
    }

    /// Says of which alerts nothing is left here, and lets go of those that
    /// have ended everywhere.
    pub(super) async fn close_walks(&mut self) -> Outcomes {
        for place in 0..self.walks.alerts.len() {
            let walks = &self.walks.alerts[place];
            let running = Arc::clone(&walks.running);
            let stored = !self.walks.strides.iter().any(|s| Arc::ptr_eq(&s.running, &running));
            if !walks.closed && walks.is_over(stored, self.now()) {
                self.walks.alerts[place].closed = true;
                self.context.alerts.close(&running, self.context.id, self.now()).await?;
            }
        }
        let before = self.walks.alerts.len();
        self.walks.alerts.retain(|walks| !walks.running.is_settled() || walks.is_busy());
        if self.walks.alerts.len() < before {
            self.walks.recount();
        }
        Ok(())
    }
}

impl Flight {
    /// Whether a straggler is in it.
    fn has(&self, straggler: &Straggler) -> bool {
        let items = self.load.items().iter();
        items
            .map(|item| (item.ordinal, item.endpoint))
            .any(|it| it == (straggler.ordinal, straggler.endpoint))
    }
}
