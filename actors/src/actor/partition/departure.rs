//! Departures: deliveries leaving a partition for their routes, and coming
//! back.

use std::sync::Arc;

use super::State;
use super::state::Outcomes;
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::id::RouteId;
use crate::domain::lane::Lane;
use crate::domain::time::Millis;
use crate::message::citizen::{Attempt, CitizenMessage};
use crate::message::route::RouteMessage;
use crate::message::ticket::{Errand, FlightKey, Ticket};
use crate::port::store::DueDelivery;

impl State {
    /// Whether deliveries of `route` in `lane` wait for their turn.
    pub(super) fn waits(&self, route: &RouteId, lane: Lane, now: Millis) -> bool {
        self.routes.iter().any(|book| book.id == *route && book.waits(lane, now))
    }

    /// Lets an attempt go if there is a credit for its lane and it overtakes
    /// nothing there; else the delivery waits in the store.
    pub(super) fn depart(
        &mut self,
        code: FiscalCode,
        attempt: Attempt,
        overtakes: bool,
        now: Millis,
    ) {
        let may_leave = !overtakes && self.draining.is_none() && self.context.lease().holds();
        let (key, lane) = ((attempt.message.id, attempt.endpoint), attempt.message.lane);
        let Some(book) = self.route(&attempt.route) else { return };
        if !may_leave || !book.take_off(key, lane) {
            book.due_at(lane, now);
            return;
        }
        let Some(active) = self.active.get_mut(&code) else { return };
        active.airborne += 1;
        let order = (attempt.endpoint, lane);
        if let Some(attempt) = active.stile.enter(key, order, attempt) {
            self.issue(code, attempt);
        }
    }

    /// Issues the ticket of an attempt.
    fn issue(&mut self, code: FiscalCode, attempt: Attempt) {
        let Attempt { message, endpoint, route, retries } = attempt;
        let Some(index) = self.routes.iter().position(|book| book.id == route) else { return };
        // A first try waits since its message was accepted, which is what the
        // citizen waits; a later one was not to go before now.
        let since = if retries == 0 { message.accepted_at } else { self.now() };
        let Some(active) = self.active.get(&code) else { return };
        self.departures[index].push(Ticket::new(Errand {
            endpoint,
            message,
            route,
            retries,
            since,
            citizen: Arc::clone(&active.cell),
            directory: Arc::clone(&self.context.world.directory),
            home: self.home.clone(),
        }));
    }

    /// Hands the issued tickets to their routes.
    pub(super) fn dispatch(&mut self) {
        for (book, tickets) in self.routes.iter().zip(&mut self.departures) {
            if !tickets.is_empty() {
                book.address.cast(RouteMessage::Dispatch(std::mem::take(tickets)));
            }
        }
    }

    /// A delivery's attempt is over: its credit comes back, and the next one
    /// to the same endpoint may go.
    pub(super) fn land(&mut self, code: FiscalCode, route: &RouteId, key: &FlightKey) {
        if !self.give_back(code, route, key) {
            return;
        }
        let next = self.active.get_mut(&code).and_then(|active| active.stile.leave(key));
        if let Some(next) = next {
            self.issue(code, next);
        }
    }

    /// A delivery came back without an attempt: it stays due, and so does
    /// what would have followed it.
    pub(super) fn returned(
        &mut self,
        code: FiscalCode,
        route: &RouteId,
        key: &FlightKey,
        lane: Lane,
    ) {
        let now = self.now();
        self.give_back(code, route, key);
        let recalled = self.active.get_mut(&code).map(|active| active.stile.recall(key));
        self.hold_back(code, recalled.unwrap_or_default());
        if let Some(book) = self.route(route) {
            book.due_at(lane, now);
        }
    }

    /// Takes back attempts that have not been issued: they stay due.
    pub(super) fn hold_back(&mut self, code: FiscalCode, attempts: Vec<Attempt>) {
        let now = self.now();
        for Attempt { message, endpoint, route, .. } in attempts {
            self.give_back(code, &route, &(message.id, endpoint));
            if let Some(book) = self.route(&route) {
                book.due_at(message.lane, now);
            }
        }
    }

    /// Gives a credit back; false when the delivery held none.
    fn give_back(&mut self, code: FiscalCode, route: &RouteId, key: &FlightKey) -> bool {
        let landed = self.route(route).is_some_and(|book| book.land(key));
        if let Some(active) = self.active.get_mut(&code)
            && landed
        {
            active.airborne -= 1;
        }
        landed
    }

    /// Takes due deliveries from the store, as far as credits allow: the most
    /// urgent lane first.
    pub(super) async fn pull(&mut self) -> Outcomes {
        let now = self.now();
        for index in 0..self.routes.len() {
            for lane in Lane::ALL {
                self.pull_lane(index, lane, now).await?;
            }
        }
        Ok(())
    }

    async fn pull_lane(&mut self, index: usize, lane: Lane, now: Millis) -> Outcomes {
        let book = &self.routes[index];
        let works = self.draining.is_none() && self.context.lease().holds();
        let Some(limit) = book.pull(lane, now).filter(|_| works) else {
            return Ok(());
        };
        let (store, id) = (&self.context.store, self.context.id);
        let except = book.in_flight(lane);
        let (due, next) = store.due(id, &book.id, lane, now, limit, &except).await?;
        self.routes[index].pulled(lane, next);
        for delivery in due {
            self.resume(index, delivery).await?;
        }
        Ok(())
    }

    /// Lets a citizen take the turn of a due delivery; it holds its credit
    /// from here on.
    async fn resume(&mut self, index: usize, delivery: DueDelivery) -> Outcomes {
        let DueDelivery { message, state, endpoint, citizen, .. } = delivery;
        let code = message.fiscal_code;
        let record = state.deliveries.iter().find(|record| record.endpoint == endpoint);
        let retries = record.map_or(0, |record| record.retries);
        if !self.routes[index].take_off((message.id, endpoint), message.lane) {
            return Ok(());
        }
        self.routes[index].resume(message.lane);
        let route = self.routes[index].id.clone();
        let message = Arc::new(message);
        let input = CitizenMessage::Due { message, endpoint, route, retries };
        self.give(code, citizen, input).await?;
        if let Some(active) = self.active.get_mut(&code) {
            active.airborne += 1;
        }
        Ok(())
    }
}
