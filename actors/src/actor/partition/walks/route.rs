//! A route's walk: loads leave for the route, come back as one, and are
//! stored as one.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::inbox::check;
use super::{Flight, State, Which};
use crate::actor::partition::state::Outcomes;
use crate::domain::alert::AlertStatus;
use crate::domain::answer::Answer;
use crate::domain::delivery::Endpoint;
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::outcome::{Failure, Outcome};
use crate::domain::time::Millis;
use crate::message::batch::{Arrived, Batch, Cohort, Passenger, Seat};
use crate::message::route::RouteMessage;
use crate::message::ticket::End;
use crate::policy::walk::{self, Answers, Item, Load};
use crate::port::store::StoreError;

/// Looks at the store for one load, where members are few.
const VISITS: usize = 4;
/// When a delivery goes whose citizen has personal ones in flight.
const AFTER_PERSONAL: Duration = Duration::from_secs(1);

/// Deliveries being put together.
#[derive(Default)]
struct Boarding {
    items: Vec<Item>,
    seats: Vec<Seat>,
}

impl Flight {
    /// A citizen is being erased: what is not in the air does not go again.
    pub(super) fn disembark(&mut self, code: FiscalCode) {
        if self.again.is_none() {
            return;
        }
        for (place, seat) in self.batch.seats.iter().enumerate() {
            let passenger = self.batch.cohort.passengers.get(seat.passenger);
            if passenger.is_some_and(|passenger| passenger.code == code) {
                self.load.end(place, Outcome::Failed(Failure::EndpointRemoved));
            }
        }
    }
}

impl State {
    /// Puts a load together and lets it go.
    pub(super) async fn fill(&mut self, alert: usize, route: usize) -> Outcomes {
        let walks = &self.walks.alerts[alert];
        let at = walks.routes[route].at;
        let kept = walks.recent.iter().find(|cohort| (cohort.from..cohort.next).contains(&at));
        let cohort = match kept {
            Some(cohort) => Arc::clone(cohort),
            None => Arc::new(self.visit_members(alert, at).await?),
        };
        let (boarding, next) = self.seat(route, &cohort, at);
        let walks = &mut self.walks.alerts[alert];
        walks.routes[route].at = next;
        walks.forget_passed();
        if boarding.items.is_empty() {
            return Ok(());
        }
        let Boarding { items, seats } = boarding;
        self.take_off(alert, route, false, Load::stretch(at, next, items), seats, cohort);
        Ok(())
    }

    /// Members from `at` on, a load of them if they are not far apart.
    async fn visit_members(&self, alert: usize, at: u32) -> Result<Cohort, StoreError> {
        let walks = &self.walks.alerts[alert];
        let members = Some(walks.running.alert.id);
        let mut cohort = Cohort { from: at, next: at, passengers: Vec::new() };
        for _ in 0..VISITS {
            let room = walk::LOAD - cohort.passengers.len();
            if cohort.next >= walks.reached || room == 0 {
                break;
            }
            let (store, id) = (&self.context.store, self.context.id);
            let visit = store.visit(id, cohort.next, walks.reached, room, members).await?;
            check(cohort.next, visit.next)?;
            cohort.next = visit.next;
            let passengers = visit.citizens.into_iter().map(|(o, c)| Passenger::new(o, c));
            cohort.passengers.extend(passengers);
        }
        Ok(cohort)
    }

    /// Seats the passengers from `at` on while there is room; returns the
    /// ordinal before which all are seated.
    fn seat(&self, route: usize, cohort: &Cohort, at: u32) -> (Boarding, u32) {
        let entry = &self.context.world.routes.entries()[route];
        let now = self.now();
        let mut boarding = Boarding::default();
        for (place, passenger) in cohort.passengers.iter().enumerate() {
            if passenger.ordinal < at || self.erasures.includes(&passenger.code) {
                continue;
            }
            let before = boarding.items.len();
            if let Some(citizen) = &*passenger.record() {
                let later = self.after_personal(passenger.code, now);
                self.context.world.routes.reaches(entry, citizen, |endpoint| {
                    boarding.seat(place, passenger.ordinal, endpoint, later);
                });
            }
            if boarding.items.len() > walk::LOAD && before > 0 {
                boarding.items.truncate(before);
                boarding.seats.truncate(before);
                return (boarding, passenger.ordinal);
            }
        }
        (boarding, cohort.next)
    }

    /// When a delivery to a citizen may go who has personal ones in flight,
    /// so that nothing runs beside them; none: at once.
    fn after_personal(&self, code: FiscalCode, now: Millis) -> Option<Millis> {
        let busy = self.active.get(&code).is_some_and(|active| active.airborne > 0);
        busy.then(|| now.after(AFTER_PERSONAL))
    }

    /// Lets the stragglers go that are due, the oldest first.
    pub(super) async fn retry_stragglers(&mut self, alert: usize, route: usize) -> Outcomes {
        let now = self.now();
        let stragglers = &self.walks.alerts[alert].routes[route].cursor.stragglers;
        let mut due: Vec<_> = stragglers.iter().filter(|one| one.due <= now).copied().collect();
        due.sort_by_key(|one| one.due);
        due.truncate(walk::RETRIES);
        let citizens = self.context.store.straggling(self.context.id, &due).await?;
        let successes = self.context.routes[route].successes.load(Ordering::Relaxed);
        let mut load = Load::stragglers(due.clone(), successes);
        let mut cohort = Cohort { from: 0, next: 0, passengers: Vec::with_capacity(due.len()) };
        let mut seats = Vec::with_capacity(due.len());
        for (place, (straggler, citizen)) in due.iter().zip(citizens).enumerate() {
            seats.push(Seat { passenger: cohort.passengers.len(), endpoint: straggler.endpoint });
            let known = citizen.filter(|one| !self.erasures.includes(&one.fiscal_code));
            let Some(citizen) = known else {
                load.end(place, Outcome::Failed(Failure::EndpointRemoved));
                // Nobody sits here, and no ticket is made for it.
                if let Some(seat) = seats.last_mut() {
                    seat.passenger = usize::MAX;
                }
                continue;
            };
            if let Some(later) = self.after_personal(citizen.fiscal_code, now) {
                load.delay(place, later);
            }
            cohort.passengers.push(Passenger::new(straggler.ordinal, citizen));
        }
        self.take_off(alert, route, true, load, seats, Arc::new(cohort));
        Ok(())
    }

    fn take_off(
        &mut self,
        alert: usize,
        route: usize,
        retry: bool,
        load: Load,
        seats: Vec<Seat>,
        cohort: Arc<Cohort>,
    ) {
        let batch = Arc::new(Batch {
            alert: Arc::clone(&self.walks.alerts[alert].running),
            partition: self.context.id,
            cohort,
            arrived: Mutex::new(Vec::with_capacity(seats.len())),
            seats,
            directory: Arc::clone(&self.context.world.directory),
            home: self.home.clone(),
            flying: AtomicUsize::new(0),
            left_at: AtomicU64::new(0),
        });
        let flight = Flight { load, batch, again: None, extra: Vec::new() };
        let lane = self.walks.alerts[alert].running.alert.lane;
        self.walks.aloft[route][usize::from(retry)][lane] += 1;
        *self.walks.alerts[alert].routes[route].flight(retry) = Some(flight);
        self.fly_again(alert, route, retry);
    }

    /// Hands what is open of a flight to the route; with nothing open it is
    /// over.
    pub(super) fn fly_again(&mut self, alert: usize, route: usize, retry: bool) {
        let now = self.now();
        let walk = &mut self.walks.alerts[alert].routes[route];
        walk.show();
        let Some(flight) = walk.flight(retry) else { return };
        flight.again = None;
        let open: Vec<_> = flight.load.open().collect();
        if open.is_empty() {
            self.settle(alert, route, retry);
            return;
        }
        let tickets = flight.batch.tickets(&open, now);
        // With no route living they drop, and come back at once.
        self.context.routes[route].address.cast(RouteMessage::Dispatch(tickets));
    }

    /// Everything of a batch has come back.
    pub(crate) fn landed(&mut self, batch: &Arc<Batch>) {
        if batch.home.generation != self.home.generation {
            // An earlier generation's: this one does it again.
            return;
        }
        // None when it was given up.
        if let Some((alert, route, retry)) = self.find_flight(batch) {
            self.take_in(alert, route, retry);
            self.settle(alert, route, retry);
        }
    }

    /// Takes up what has come back of a flight.
    pub(super) fn take_in(&mut self, alert: usize, route: usize, retry: bool) {
        let walk = &mut self.walks.alerts[alert].routes[route];
        let Some(mut flight) = walk.flight(retry).take() else { return };
        let now = self.now();
        for arrived in flight.batch.unload() {
            self.unload(&mut flight, route, arrived, now);
        }
        *self.walks.alerts[alert].routes[route].flight(retry) = Some(flight);
    }

    fn find_flight(&self, batch: &Arc<Batch>) -> Option<(usize, usize, bool)> {
        let is = |flight: &Option<Flight>| {
            flight.as_ref().is_some_and(|flight| Arc::ptr_eq(&flight.batch, batch))
        };
        for (alert, walks) in self.walks.alerts.iter().enumerate() {
            for (route, walk) in walks.routes.iter().enumerate() {
                if is(&walk.load) || is(&walk.retry) {
                    return Some((alert, route, is(&walk.retry)));
                }
            }
        }
        None
    }

    /// Takes up how a delivery came back.
    fn unload(&self, flight: &mut Flight, route: usize, arrived: Arrived, now: Millis) {
        let Arrived { seat, target, end } = arrived;
        match end {
            End::Answered(Answer::Accepted) => flight.load.end(seat, Outcome::Delivered),
            End::Ended(outcome) => flight.load.end(seat, outcome),
            End::Returned => flight.load.give_back(),
            End::Answered(answer) => {
                let Some(code) = flight.code(seat) else { return };
                let answers = Answers {
                    alert: flight.batch.alert.alert.id,
                    expires_at: flight.batch.alert.alert.expires_at,
                    retry: &self.context.world.routes.entries()[route].retry,
                    successes: self.context.routes[route].successes.load(Ordering::Relaxed),
                    now,
                };
                let unit = self.context.world.rng.unit();
                let effects = flight.load.answer(seat, code, target, answer, &answers, unit);
                flight.extra.extend(effects.into_iter().map(|effect| (code, effect)));
            }
        }
    }

    /// A flight is back: it is stored when nothing of it is open, or goes
    /// again. A pause, the end of the engine or a stop leave nothing open.
    pub(super) fn settle(&mut self, alert: usize, route: usize, retry: bool) {
        let (now, draining) = (self.now(), self.draining.is_some());
        let running = Arc::clone(&self.walks.alerts[alert].running);
        let walk = &mut self.walks.alerts[alert].routes[route];
        let Some(mut flight) = walk.flight(retry).take() else { return };
        if let Some(outcome) = running.verdict() {
            flight.load.give_up(outcome);
        } else if draining || running.status() == AlertStatus::Paused {
            flight.load.put_off(now);
        }
        if flight.load.is_settled() {
            let landing = flight.load.finish(&walk.cursor);
            walk.show();
            self.walks.aloft[route][usize::from(retry)][running.alert.lane] -= 1;
            self.step(alert, Which::Route(route), landing, flight.extra, None);
            return;
        }
        flight.again = Some(flight.load.again_at(now, self.context.world.rng.unit()));
        *walk.flight(retry) = Some(flight);
        self.context.handle().walk();
    }
}

impl Flight {
    /// Whose a delivery is.
    fn code(&self, seat: usize) -> Option<FiscalCode> {
        let seat = self.batch.seats.get(seat)?;
        self.batch.cohort.passengers.get(seat.passenger).map(|passenger| passenger.code)
    }
}

impl Boarding {
    fn seat(&mut self, passenger: usize, ordinal: u32, endpoint: Endpoint, later: Option<Millis>) {
        self.seats.push(Seat { passenger, endpoint });
        self.items.push(match later {
            Some(due) => Item::later(ordinal, endpoint, due),
            None => Item::new(ordinal, endpoint),
        });
    }
}
