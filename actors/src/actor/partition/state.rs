//! A partition's working memory and what it does on each message.

use ractor::{ActorProcessingErr, ActorRef};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;

use super::active::Active;
use super::{Context, RouteBook};
use crate::actor::citizen::Activation;
use crate::domain::citizen::Citizen;
use crate::domain::effect::Effect;
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::id::{Epoch, MessageId, RouteId};
use crate::domain::outcome::{Failure, Outcome};
use crate::domain::time::Millis;
use crate::message::citizen::{Attempt, CitizenMessage, Turn};
use crate::message::partition::PartitionMessage;
use crate::message::route::RouteMessage;
use crate::message::ticket::{CitizenCell, End, Errand, FlightKey, Home, Report, Ticket};
use crate::metric::PartitionMetrics;
use crate::policy::turn::Answered;
use crate::policy::watermark::Watermark;
use crate::port::store::{DueDelivery, Step};

/// Failures end this generation; the next one starts from the store.
type Outcomes = Result<(), ActorProcessingErr>;

/// See the module's text.
pub(crate) struct State {
    pub(crate) context: Arc<Context>,
    pub(crate) epoch: Epoch,
    pub(crate) home: Home,
    pub(crate) myself: ActorRef<PartitionMessage>,
    /// Next journal entry to read, and the first not yet written.
    pub(crate) next_read: u64,
    pub(crate) tail: u64,
    pub(crate) watermark: Watermark,
    /// The mark as last stored.
    pub(crate) checkpoint: u64,
    /// Journal entries whose turn is not stored.
    pub(crate) unprocessed: u64,
    pub(crate) arrivals_in_hand: usize,
    pub(crate) active: HashMap<FiscalCode, Active>,
    pub(crate) incarnations: u64,
    pub(crate) routes: Vec<RouteBook>,
    /// Waiting deliveries of routes that are not configured any more.
    pub(crate) unrouted: u64,
    /// Turns taken and not yet stored.
    pub(crate) buffer: Vec<(FiscalCode, Turn)>,
    pub(crate) flush_scheduled: bool,
    /// Falls, by the message whose turn it was. Entries leave with the
    /// message's last turn.
    pub(crate) panics: HashMap<MessageId, u32>,
    pub(crate) draining: Option<Vec<oneshot::Sender<()>>>,
    pub(crate) metrics: PartitionMetrics,
}

impl State {
    fn now(&self) -> Millis {
        self.context.world.clock.now()
    }

    fn route(&mut self, id: &RouteId) -> Option<&mut RouteBook> {
        self.routes.iter_mut().find(|route| route.id == *id)
    }

    /// Shows the live counts.
    pub(crate) fn show(&self) {
        let gauges = self.context.board.partition(self.context.id.0);
        let deliveries: u64 = self.routes.iter().map(RouteBook::pending).sum();
        gauges.messages.store(self.unprocessed, Ordering::Relaxed);
        gauges.deliveries.store(deliveries + self.unrouted, Ordering::Relaxed);
        gauges.active.store(self.active.len() as u64, Ordering::Relaxed);
    }

    /// The journal grew.
    pub(crate) async fn poked(&mut self) -> Outcomes {
        let tail = self.context.handle().take_poke().max(self.tail);
        self.unprocessed += tail - self.tail;
        self.tail = tail;
        self.read().await
    }

    /// Reads the journal while there is room.
    async fn read(&mut self) -> Outcomes {
        while self.draining.is_none()
            && self.next_read < self.tail
            && self.arrivals_in_hand < self.context.limits.max_active
        {
            let room = self.context.limits.max_active - self.arrivals_in_hand;
            let id = self.context.id;
            let arrivals = self.context.store.arrivals(id, self.next_read, room).await?;
            if arrivals.is_empty() {
                break;
            }
            for arrival in arrivals {
                self.next_read = arrival.sequence + 1;
                if arrival.done {
                    self.watermark.complete(arrival.sequence);
                    continue;
                }
                self.arrivals_in_hand += 1;
                let code = arrival.message.fiscal_code;
                let (sequence, message) = (arrival.sequence, Arc::new(arrival.message));
                let input = CitizenMessage::Arrive { sequence, message };
                self.give(code, arrival.citizen, input).await?;
            }
        }
        Ok(())
    }

    /// Gives an input to a citizen, activated with the record just read.
    async fn give(
        &mut self,
        code: FiscalCode,
        citizen: Option<Citizen>,
        input: CitizenMessage,
    ) -> Outcomes {
        if let Some(active) = self.active.get_mut(&code) {
            active.cell.store(citizen);
            active.give(input);
            return Ok(());
        }
        let cell = Arc::new(CitizenCell::new(citizen));
        let mut active = Active::start(self.activation(code, cell)).await?;
        active.give(input);
        self.active.insert(code, active);
        self.metrics.activations.increment(1);
        Ok(())
    }

    fn activation(&mut self, fiscal_code: FiscalCode, cell: Arc<CitizenCell>) -> Activation {
        self.incarnations += 1;
        Activation {
            fiscal_code,
            cell,
            incarnation: self.incarnations,
            home: self.home.address.clone(),
            world: Arc::clone(&self.context.world),
        }
    }

    /// A citizen took a turn: it is stored with all that are waiting.
    pub(crate) fn turned(&mut self, code: FiscalCode, incarnation: u64, turn: Turn) {
        let Some(active) = self.active.get_mut(&code) else { return };
        if active.incarnation == incarnation {
            active.inputs.pop_front();
            self.save(code, turn);
        }
    }

    fn save(&mut self, code: FiscalCode, turn: Turn) {
        if let Some(active) = self.active.get_mut(&code) {
            active.unsaved += 1;
        }
        self.buffer.push((code, turn));
        // Whatever is in the mailbox before the flush goes into its step.
        if !self.flush_scheduled {
            self.flush_scheduled = self.myself.cast(PartitionMessage::Flush).is_ok();
        }
    }

    /// A citizen's actor panicked on the first of its inputs: rebuild it
    /// from the store and give it its inputs again, but for a message that
    /// has done this too often.
    pub(crate) async fn fell(&mut self, code: FiscalCode, incarnation: u64) -> Outcomes {
        let living = self.active.get(&code).map(|active| active.incarnation);
        if living != Some(incarnation) {
            return Ok(());
        }
        let Some(mut fallen) = self.active.remove(&code) else { return Ok(()) };
        self.metrics.panics.increment(1);
        let cell = Arc::clone(&fallen.cell);
        cell.store(self.context.store.citizen(code).await?);
        let mut active = Active::start(self.activation(code, cell)).await?;
        active.unsaved = fallen.unsaved;
        active.airborne = fallen.airborne;
        let mut inputs = std::mem::take(&mut fallen.inputs);
        let poisoned = inputs.front().is_some_and(|input| self.is_poisoned(input));
        let culprit = if poisoned { inputs.pop_front() } else { None };
        for input in inputs {
            active.give(input);
        }
        self.active.insert(code, active);
        if let Some(culprit) = culprit {
            self.save(code, set_aside(culprit));
        }
        Ok(())
    }

    /// Counts a fall against the message of `input`.
    fn is_poisoned(&mut self, input: &CitizenMessage) -> bool {
        let id = match input {
            CitizenMessage::Arrive { message, .. } | CitizenMessage::Due { message, .. } => {
                message.id
            }
            CitizenMessage::Answered { answered, .. } => answered.message,
        };
        let falls = self.panics.entry(id).or_default();
        *falls += 1;
        let poisoned = *falls >= self.context.limits.max_panics;
        if poisoned {
            self.panics.remove(&id);
        }
        poisoned
    }

    /// A ticket ended.
    pub(crate) fn report(&mut self, report: Report) {
        if report.generation != self.home.generation {
            // An earlier generation's: this one takes the delivery up again.
            return;
        }
        let Report { message, endpoint, route, retries, registered_at, end, .. } = report;
        let code = message.fiscal_code;
        let key = (message.id, endpoint);
        match end {
            End::Returned => {
                let now = self.now();
                self.land(code, &route, &key);
                if let Some(route) = self.route(&route) {
                    route.due_at(now);
                }
                self.retire(code);
                self.rest_if_drained();
            }
            End::Ended(outcome) => {
                let effects = vec![Effect::Settled { message: message.id, endpoint, outcome }];
                let turn = Turn { effects, flight: Some((route, key)), ..Turn::default() };
                self.save(code, turn);
            }
            End::Answered(answer) => {
                let expires_at = message.expires_at();
                let answered = Answered {
                    message: message.id,
                    endpoint,
                    retries,
                    expires_at,
                    registered_at,
                    answer,
                };
                if let Some(active) = self.active.get_mut(&code) {
                    active.give(CitizenMessage::Answered { answered, route });
                }
            }
        }
    }

    fn land(&mut self, code: FiscalCode, route: &RouteId, key: &FlightKey) {
        let landed = self.route(route).is_some_and(|route| route.land(key));
        if let Some(active) = self.active.get_mut(&code)
            && landed
        {
            active.airborne -= 1;
        }
    }

    fn retire(&mut self, code: FiscalCode) {
        if self.active.get(&code).is_some_and(Active::is_idle) {
            self.active.remove(&code);
        }
    }

    /// Stores the turns taken so far in one step, then acts on them.
    pub(crate) async fn flush(&mut self) -> Outcomes {
        self.flush_scheduled = false;
        let mut turns = std::mem::take(&mut self.buffer);
        let at = self.now();
        let mut effects = Vec::with_capacity(turns.len());
        for (_, turn) in &mut turns {
            if let Some(sequence) = turn.arrival {
                self.watermark.complete(sequence);
            }
            effects.extend(turn.effects.iter().cloned());
        }
        let mark = self.watermark.mark();
        let checkpoint = (mark > self.checkpoint).then_some(mark);
        if !effects.is_empty() || checkpoint.is_some() {
            self.metrics.step_effects.record(effects.len() as f64);
            let step = Step { effects, checkpoint, at };
            self.context.store.commit(self.context.id, self.epoch, step).await?;
            self.checkpoint = mark;
        }
        let mut departures: Vec<Vec<Ticket>> = self.routes.iter().map(|_| Vec::new()).collect();
        for (code, turn) in turns {
            self.stored(code, turn, at, &mut departures);
        }
        for (route, tickets) in self.routes.iter().zip(departures) {
            if !tickets.is_empty() {
                route.address.cast(RouteMessage::Dispatch(tickets));
            }
        }
        self.read().await?;
        self.pull().await?;
        self.rest_if_drained();
        Ok(())
    }

    /// Accounts for a stored turn and issues the tickets of its attempts.
    fn stored(
        &mut self,
        code: FiscalCode,
        turn: Turn,
        now: Millis,
        departures: &mut [Vec<Ticket>],
    ) {
        for effect in &turn.effects {
            self.account(effect, turn.flight.as_ref().map(|(route, _)| route));
        }
        if turn.arrival.is_some() {
            self.unprocessed = self.unprocessed.saturating_sub(1);
            self.arrivals_in_hand -= 1;
        }
        // A due delivery passes the credit it was pulled with on to its
        // attempt; a new one must not overtake what waits in the store
        // (promise 7).
        let pulled = turn.flight.is_some();
        if let Some((route, key)) = &turn.flight {
            self.land(code, route, key);
        }
        for attempt in turn.attempts {
            let overtakes = !pulled && self.waits(&attempt.route, now);
            self.depart(code, attempt, overtakes, now, departures);
        }
        if let Some(active) = self.active.get_mut(&code) {
            active.unsaved -= 1;
        }
        self.retire(code);
    }

    /// Keeps the live counts in step with what was stored.
    fn account(&mut self, effect: &Effect, flight: Option<&RouteId>) {
        match effect {
            Effect::Processed { message, deliveries, .. } => {
                self.panics.remove(message);
                let planned = deliveries.iter().filter(|record| record.status.due().is_some());
                for route in planned.filter_map(|record| record.route.as_ref()) {
                    if let Some(route) = self.route(route) {
                        route.planned();
                    }
                }
            }
            Effect::Settled { message, .. } => {
                self.panics.remove(message);
                if let Some(route) = flight.and_then(|route| self.route(route)) {
                    route.settled();
                }
            }
            Effect::Deferred { due, .. } => {
                if let Some(route) = flight.and_then(|route| self.route(route)) {
                    route.due_at(*due);
                }
            }
            Effect::Rejected { message, .. }
            | Effect::Expired { message }
            | Effect::Quarantined { message, .. } => {
                self.panics.remove(message);
            }
            Effect::DeviceDropped { .. } => {}
        }
    }

    /// Whether deliveries of `route` wait in the store for their turn.
    fn waits(&self, route: &RouteId, now: Millis) -> bool {
        self.routes.iter().any(|book| book.id == *route && book.waits(now))
    }

    /// Issues the ticket of an attempt if there is a credit and it overtakes
    /// nothing; else the delivery waits in the store.
    fn depart(
        &mut self,
        code: FiscalCode,
        attempt: Attempt,
        overtakes: bool,
        now: Millis,
        departures: &mut [Vec<Ticket>],
    ) {
        let Attempt { message, endpoint, route, retries, prepared } = attempt;
        let may_leave = !overtakes && self.draining.is_none();
        let Some(index) = self.routes.iter().position(|book| book.id == route) else { return };
        let book = &mut self.routes[index];
        let Some(active) = self.active.get_mut(&code) else { return };
        if !may_leave || !book.take_off((message.id, endpoint)) {
            book.due_at(now);
            return;
        }
        active.airborne += 1;
        departures[index].push(Ticket::new(Errand {
            push: prepared.push,
            endpoint,
            message,
            route,
            retries,
            registered_at: prepared.registered_at,
            citizen: Arc::clone(&active.cell),
            directory: Arc::clone(&self.context.world.directory),
            home: self.home.clone(),
        }));
    }

    /// Time has passed: look for due deliveries.
    pub(crate) async fn tick(&mut self) -> Outcomes {
        self.context.handle().take_tick();
        self.pull().await
    }

    /// Takes due deliveries from the store, as far as credits allow.
    async fn pull(&mut self) -> Outcomes {
        let now = self.now();
        for index in 0..self.routes.len() {
            if self.draining.is_some() {
                return Ok(());
            }
            let Some(limit) = self.routes[index].pull(now) else { continue };
            let id = self.routes[index].id.clone();
            let except = self.routes[index].in_flight();
            let (due, next) =
                self.context.store.due(self.context.id, &id, now, limit, &except).await?;
            self.routes[index].pulled(next);
            for delivery in due {
                self.resume(index, delivery).await?;
            }
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
        if !self.routes[index].take_off((message.id, endpoint)) {
            return Ok(());
        }
        let route = self.routes[index].id.clone();
        let message = Arc::new(message);
        let input = CitizenMessage::Due { message, endpoint, route, retries };
        self.give(code, citizen, input).await?;
        if let Some(active) = self.active.get_mut(&code) {
            active.airborne += 1;
        }
        Ok(())
    }

    /// A citizen's record changed: attempts already queued look at the new
    /// one before they start.
    pub(crate) async fn changed(&mut self, code: FiscalCode) -> Outcomes {
        if let Some(active) = self.active.get(&code) {
            let citizen = self.context.store.citizen(code).await?;
            active.cell.store(citizen);
        }
        Ok(())
    }

    /// Start nothing new; answer when nothing is in flight.
    pub(crate) fn drain(&mut self, done: oneshot::Sender<()>) {
        self.draining.get_or_insert_with(Vec::new).push(done);
        self.rest_if_drained();
    }

    fn rest_if_drained(&mut self) {
        if self.draining.is_some() && self.is_at_rest() {
            for done in self.draining.iter_mut().flat_map(|waiting| waiting.drain(..)) {
                // The caller may have given up waiting.
                let _ = done.send(());
            }
        }
    }

    fn is_at_rest(&self) -> bool {
        self.buffer.is_empty()
            && self.routes.iter().all(RouteBook::is_empty)
            && self.active.values().all(|active| active.inputs.is_empty())
    }
}

/// The end of an input whose turn keeps failing.
fn set_aside(input: CitizenMessage) -> Turn {
    let failed = Outcome::Failed(Failure::TurnFailed);
    match input {
        CitizenMessage::Arrive { sequence, message } => Turn {
            arrival: Some(sequence),
            effects: vec![Effect::Quarantined {
                message: message.id,
                reason: "its turn failed repeatedly".into(),
            }],
            ..Turn::default()
        },
        CitizenMessage::Due { message, endpoint, route, .. } => Turn {
            effects: vec![Effect::Settled { message: message.id, endpoint, outcome: failed }],
            flight: Some((route, (message.id, endpoint))),
            ..Turn::default()
        },
        CitizenMessage::Answered { answered, route } => Turn {
            effects: vec![Effect::Settled {
                message: answered.message,
                endpoint: answered.endpoint,
                outcome: failed,
            }],
            flight: Some((route, (answered.message, answered.endpoint))),
            ..Turn::default()
        },
    }
}
