//! A partition's working memory and what it does on each message.

use ractor::{ActorProcessingErr, ActorRef};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::active::Active;
use super::erasure::Erasures;
use super::intake::Intake;
use super::walks::Walks;
use super::{Context, RouteBook};
use crate::actor::citizen::Activation;
use crate::domain::citizen::Citizen;
use crate::domain::effect::Effect;
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::id::{Epoch, MessageId, RouteId};
use crate::domain::time::Millis;
use crate::message::citizen::{CitizenMessage, Origin, Turn};
use crate::message::partition::PartitionMessage;
use crate::message::ticket::{CitizenCell, End, FlightKey, Home, Report, Ticket};
use crate::metric::PartitionMetrics;
use crate::policy::turn::Answered;
use crate::port::store::Step;

/// Between looks at the journals themselves; among other nodes, whose pokes may
/// be lost with them, more often.
const LOOK_ALONE: Duration = Duration::from_secs(5);
const LOOK_AMONG: Duration = Duration::from_secs(1);

/// Failures end this generation; the next one starts from the store.
pub(super) type Outcomes = Result<(), ActorProcessingErr>;

/// See the module's text.
pub(crate) struct State {
    pub(crate) context: Arc<Context>,
    pub(crate) epoch: Epoch,
    pub(crate) home: Home,
    pub(crate) myself: ActorRef<PartitionMessage>,
    pub(crate) intake: Intake,
    pub(crate) active: HashMap<FiscalCode, Active>,
    pub(crate) incarnations: u64,
    pub(crate) ticks: u32,
    /// When the journals themselves were looked at last.
    pub(crate) looked_at: Instant,
    pub(crate) routes: Vec<RouteBook>,
    /// Waiting deliveries of routes that are not configured any more.
    pub(crate) unrouted: u64,
    /// Turns taken and not yet stored.
    pub(crate) buffer: Vec<(FiscalCode, Turn)>,
    pub(crate) flush_scheduled: bool,
    /// Falls, by the message whose turn it was. Entries leave with the
    /// message's last turn.
    pub(crate) panics: HashMap<MessageId, u32>,
    pub(crate) erasures: Erasures,
    pub(crate) walks: Walks,
    /// Tickets issued and not yet handed over, by route.
    pub(crate) departures: Vec<Vec<Ticket>>,
    pub(crate) draining: Option<Vec<oneshot::Sender<()>>>,
    pub(crate) metrics: PartitionMetrics,
}

impl State {
    pub(super) fn now(&self) -> Millis {
        self.context.world.clock.now()
    }

    pub(super) fn route(&mut self, id: &RouteId) -> Option<&mut RouteBook> {
        self.routes.iter_mut().find(|route| route.id == *id)
    }

    /// Shows the live counts.
    pub(crate) fn show(&self) {
        let gauges = self.context.board.partition(self.context.id.0);
        let deliveries: u64 = self.routes.iter().map(RouteBook::pending).sum();
        for (lane, count) in self.intake.unprocessed().iter() {
            gauges.messages[lane].store(*count, Ordering::Relaxed);
        }
        let deliveries = deliveries + self.unrouted + self.walks.pending();
        gauges.deliveries.store(deliveries, Ordering::Relaxed);
        gauges.active.store(self.active.len() as u64, Ordering::Relaxed);
    }

    /// Gives an input to a citizen, activated with the record just read.
    pub(super) async fn give(
        &mut self,
        code: FiscalCode,
        citizen: Option<Citizen>,
        input: CitizenMessage,
    ) -> Outcomes {
        let citizen = citizen.filter(|_| !self.erasures.includes(&code));
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

    pub(super) fn activation(
        &mut self,
        fiscal_code: FiscalCode,
        cell: Arc<CitizenCell>,
    ) -> Activation {
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

    pub(super) fn save(&mut self, code: FiscalCode, turn: Turn) {
        if let Some(active) = self.active.get_mut(&code) {
            active.unsaved += 1;
        }
        self.buffer.push((code, turn));
        self.flush_soon();
    }

    /// Has what is waiting stored, with all that is in the mailbox before.
    pub(super) fn flush_soon(&mut self) {
        if !self.flush_scheduled {
            self.flush_scheduled = self.myself.cast(PartitionMessage::Flush).is_ok();
        }
    }

    /// A ticket ended.
    pub(crate) fn report(&mut self, report: Report) {
        if report.generation != self.home.generation {
            // An earlier generation's: this one takes the delivery up again.
            return;
        }
        let Report { message, endpoint, route, retries, target, end, .. } = report;
        let code = message.fiscal_code;
        let key = (message.id, endpoint);
        match end {
            End::Returned => {
                self.returned(code, &route, &key, message.lane);
                self.retire(code);
                self.rest_if_drained();
            }
            End::Ended(outcome) => {
                let effects = vec![Effect::Settled { message: message.id, endpoint, outcome }];
                let origin = Origin::Ticket { route, key };
                self.save(code, Turn { origin, effects, attempts: Vec::new() });
            }
            End::Answered(answer) => {
                let expires_at = message.expires_at();
                let answered =
                    Answered { message: message.id, endpoint, retries, expires_at, target, answer };
                if let Some(active) = self.active.get_mut(&code) {
                    active.give(CitizenMessage::Answered { answered, route });
                }
            }
        }
    }

    pub(super) fn retire(&mut self, code: FiscalCode) {
        if self.active.get(&code).is_some_and(Active::is_idle) {
            self.active.remove(&code);
        }
    }

    /// Stores the turns taken so far in one step, then acts on them.
    pub(crate) async fn flush(&mut self) -> Outcomes {
        self.flush_scheduled = false;
        let turns = std::mem::take(&mut self.buffer);
        let at = self.now();
        let mut effects = Vec::with_capacity(turns.len());
        for (_, turn) in &turns {
            if let Origin::Arrival { lane, sequence } = turn.origin {
                self.intake.complete(lane, sequence);
            }
            effects.extend(turn.effects.iter().cloned());
        }
        let mut strides = std::mem::take(&mut self.walks.strides);
        strides.iter_mut().for_each(|stride| effects.extend(stride.effects()));
        let checkpoints = self.intake.marks();
        if !effects.is_empty() || self.intake.is_ahead(&checkpoints) {
            self.metrics.step_effects.record(effects.len() as f64);
            let step = Step { effects, checkpoints, at };
            self.context.store.commit(self.context.id, self.epoch, step).await?;
            self.intake.stored(&checkpoints);
        }
        self.wake(&turns);
        for (code, turn) in turns {
            self.stored(code, turn, at);
        }
        for stride in strides {
            self.strode(stride);
        }
        self.dispatch();
        self.read().await?;
        self.pull().await?;
        self.rest_if_drained();
        Ok(())
    }

    /// Wakes the live sessions of those whose inbox got a message.
    fn wake(&self, turns: &[(FiscalCode, Turn)]) {
        let effects = turns.iter().flat_map(|(_, turn)| &turn.effects);
        self.context.ring(effects.filter_map(|effect| match effect {
            Effect::Processed { citizen, .. } => Some(citizen),
            _ => None,
        }));
    }

    /// Accounts for a stored turn and issues the tickets of its attempts.
    fn stored(&mut self, code: FiscalCode, turn: Turn, now: Millis) {
        for effect in &turn.effects {
            self.account(code, effect, turn.origin.flight());
        }
        let arrival = matches!(turn.origin, Origin::Arrival { .. });
        self.close(code, &turn.origin);
        for attempt in turn.attempts {
            // A due delivery passes the credit it was pulled with on to its
            // attempt; a new one must not overtake what waits in its lane
            // (promise 7).
            let overtakes = arrival && self.waits(&attempt.route, attempt.message.lane, now);
            self.depart(code, attempt, overtakes, now);
        }
        if let Some(active) = self.active.get_mut(&code) {
            active.unsaved -= 1;
        }
        self.retire(code);
    }

    /// Gives back what a turn's origin held.
    fn close(&mut self, code: FiscalCode, origin: &Origin) {
        match origin {
            Origin::Arrival { lane, .. } => self.intake.close(*lane),
            Origin::Due { route, key } => {
                if let Some(route) = self.route(route) {
                    route.resumed(key);
                }
                self.land(code, route, key);
            }
            Origin::Ticket { route, key } => self.land(code, route, key),
        }
    }

    /// Keeps the live counts in step with what was stored.
    pub(super) fn account(
        &mut self,
        code: FiscalCode,
        effect: &Effect,
        flight: Option<(&RouteId, &FlightKey)>,
    ) {
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
                if let Some(route) = flight.and_then(|(route, _)| self.route(route)) {
                    route.settled();
                }
            }
            Effect::Deferred { due, .. } => {
                if let Some((route, key)) = flight
                    && let Some(route) = self.route(route)
                {
                    route.deferred(key, *due);
                }
            }
            Effect::Rejected { message, .. }
            | Effect::Expired { message }
            | Effect::Quarantined { message, .. } => {
                self.panics.remove(message);
            }
            // The walk keeps its own account.
            Effect::Walked { .. } => {}
            Effect::AddressRefused { address, .. } => {
                if let Some(active) = self.active.get(&code) {
                    active.cell.distrust(*address);
                }
            }
            Effect::DeviceDropped { device, .. } => {
                if let Some(active) = self.active.get(&code) {
                    active.cell.forget(*device);
                }
            }
        }
    }

    /// Time has passed: look for due deliveries, and now and then for journal
    /// entries nobody told of (a sender may hang up between the commit and
    /// the poke).
    pub(crate) async fn tick(&mut self) -> Outcomes {
        self.context.handle().take_tick();
        self.ticks = self.ticks.wrapping_add(1);
        let alone = self.context.leased_for.is_none();
        let between = if alone { LOOK_ALONE } else { LOOK_AMONG };
        if self.looked_at.elapsed() >= between {
            self.looked_at = Instant::now();
            self.look().await?;
        }
        self.urge_walks();
        self.pull().await
    }

    /// A citizen's record changed: attempts already queued look at the new
    /// one before they start.
    pub(crate) async fn changed(&mut self, code: FiscalCode) -> Outcomes {
        if !self.active.contains_key(&code) && !self.walks.knows(code) {
            return Ok(());
        }
        let record = self.record(code).await?;
        self.walks.renew(code, record.as_ref());
        if let Some(active) = self.active.get(&code) {
            active.cell.store(record);
        }
        Ok(())
    }

    /// Changes may have been missed: looks at everything again.
    pub(crate) async fn refresh(&mut self) -> Outcomes {
        let mut codes: HashSet<_> = self.active.keys().copied().collect();
        codes.extend(self.walks.citizens());
        for code in codes {
            self.changed(code).await?;
        }
        self.look().await
    }

    /// Start nothing new; answer when nothing is in flight.
    pub(crate) fn drain(&mut self, done: oneshot::Sender<()>) {
        self.draining.get_or_insert_with(Vec::new).push(done);
        self.stop_walks();
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
            && self.walks.is_at_rest()
            && self.routes.iter().all(RouteBook::is_empty)
            && self.active.values().all(|active| active.inputs.is_empty())
    }
}
