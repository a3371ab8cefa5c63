//! The route: one configured provider account.
//!
//! Owns the queue of lanes, the breaker and the connections. Hands tickets to
//! the connection with most free slots; holds them while the provider is
//! down, asked for a pause (this node or another), refuses our credentials, or
//! while its part of the fleet's rate is spent. Its queue is bounded
//! by the partitions' credits. If it crashes, its tickets drop and report
//! themselves to their partitions.

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;

use crate::board::{Board, RouteState, RouteView};
use crate::cluster::{Gate, Outbox};
use crate::domain::answer::Reason;
use crate::domain::lane::ByLane;
use crate::domain::notification::Carrier;
use crate::domain::time::Millis;
use crate::message::connection::ConnectionMessage;
use crate::message::route::{RouteHandle, RouteMessage, Signal, Signals};
use crate::message::ticket::{End, Ticket};
use crate::policy::breaker::{Allowance, Breaker, BreakerLimits};
use crate::policy::lanes::LaneQueue;
use crate::policy::rate::Rate;
use crate::policy::refusals::RefusalGuard;
use crate::policy::restart::Intensity;
use crate::port::budget::Budget;
use crate::port::clock::Clock;
use crate::port::provider::Connector;
use crate::supervise::{Address, Child, Children};

use super::connection;

mod supply;

use supply::Supply;

/// A pause is told to the other nodes when it ends this much later than the one
/// told before: answers that come together ask for the same one.
const PAUSES_APART: Duration = Duration::from_secs(1);

/// What every generation of a route starts from.
pub(crate) struct Context {
    pub(crate) handle: RouteHandle,
    pub(crate) carrier: Carrier,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) connections: usize,
    pub(crate) breaker: BreakerLimits,
    pub(crate) guard: Arc<RefusalGuard>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) intensity: Intensity,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) board: Arc<Board>,
    /// Attempts a second of all nodes; none: no limit.
    pub(crate) rate: Option<Rate>,
    /// Where they are drawn from.
    pub(crate) budget: Arc<dyn Budget>,
}

/// The actor.
pub(crate) struct Route;

/// One of the route's connections, as the route sees it.
#[derive(Default)]
struct Slot {
    address: Address<ConnectionMessage>,
    up: bool,
    /// Attempts it takes beyond those it has.
    free: usize,
    /// Tickets it holds.
    holds: usize,
}

/// See the module's text.
pub(crate) struct State {
    context: Arc<Context>,
    children: Children,
    slots: Vec<Slot>,
    queue: LaneQueue<Ticket>,
    breaker: Breaker,
    supply: Supply,
    paused_until: Option<Millis>,
    /// The end of the latest pause that the other nodes know of.
    known_pause: Option<Millis>,
    halted: Option<Reason>,
    /// Why a connection was last lost.
    trouble: String,
    draining: Option<Vec<oneshot::Sender<()>>>,
}

impl Actor for Route {
    type Msg = RouteMessage;
    type State = State;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        myself: ActorRef<RouteMessage>,
        context: Arc<Context>,
    ) -> Result<State, ActorProcessingErr> {
        context.handle.address.set(myself.clone());
        let slots: Vec<Slot> = (0..context.connections).map(|_| Slot::default()).collect();
        let specs = slots
            .iter()
            .enumerate()
            .map(|(index, slot)| connection_child(&context, index, slot.address.clone()))
            .collect();
        let mut children = Children::new(specs, context.intensity, Arc::clone(&context.clock));
        children.start(&myself.get_cell()).await?;
        let state = State {
            breaker: Breaker::new(context.breaker),
            supply: Supply::new(
                context.handle.id.clone(),
                myself,
                Arc::clone(&context.budget),
                context.rate,
            ),
            context,
            children,
            slots,
            queue: LaneQueue::default(),
            paused_until: None,
            known_pause: None,
            halted: None,
            trouble: "no connection yet".into(),
            draining: None,
        };
        state.show();
        Ok(state)
    }

    async fn handle(
        &self,
        _myself: ActorRef<RouteMessage>,
        message: RouteMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RouteMessage::Dispatch(tickets) => state.queue_all(tickets),
            RouteMessage::Finished { connection, signals, slots } => {
                state.finished(connection, &signals, slots);
            }
            RouteMessage::Hold { connection, tickets } => state.hold(connection, tickets),
            RouteMessage::Up { connection } => state.slots[connection].up = true,
            RouteMessage::Lost { connection, detail } => state.lost(connection, detail),
            RouteMessage::Drawn(drawn) => state.supply.drawn(drawn),
            RouteMessage::PauseUntil(until) => state.pause_heard(until),
            RouteMessage::Tick => state.tick(),
            RouteMessage::Drain { done } => state.drain(done),
        }
        state.pump();
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<RouteMessage>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(connection) = state.children.on_event(event, &myself.get_cell()).await? {
            // Its tickets were dropped with it and have reported themselves.
            let address = state.slots[connection].address.clone();
            state.slots[connection] = Slot { address, ..Slot::default() };
            state.breaker.unprobe();
            state.rest_if_drained();
        }
        Ok(())
    }
}

fn connection_child(
    context: &Arc<Context>,
    index: usize,
    address: Address<ConnectionMessage>,
) -> Child {
    let context = Arc::clone(context);
    let name = format!("connection {index} of route {}", context.handle.id);
    let arguments = move |_| connection::Arguments {
        index,
        route: context.handle.address.clone(),
        address: address.clone(),
        id: context.handle.id.clone(),
        connector: Arc::clone(&context.connector),
        guard: Arc::clone(&context.guard),
        gate: Arc::clone(&context.gate),
        clock: Arc::clone(&context.clock),
    };
    Child::of(name, || connection::Connection, arguments)
}

impl State {
    fn queue_all(&mut self, tickets: Vec<Ticket>) {
        if self.draining.is_some() {
            // Dropped: each reports that no attempt was made.
            return;
        }
        for ticket in tickets {
            self.queue.push(ticket.lane(), ticket);
        }
    }

    /// Takes back, to the front, what a connection could not start.
    fn hold(&mut self, connection: usize, tickets: Vec<Ticket>) {
        let slot = &mut self.slots[connection];
        slot.holds = slot.holds.saturating_sub(tickets.len());
        self.breaker.unprobe();
        if self.draining.is_none() {
            for ticket in tickets.into_iter().rev() {
                self.queue.push_front(ticket.lane(), ticket);
            }
        }
        self.rest_if_drained();
    }

    fn lost(&mut self, connection: usize, detail: String) {
        let slot = &mut self.slots[connection];
        slot.up = false;
        slot.free = 0;
        if self.trouble != detail {
            tracing::warn!(route = %self.context.handle.id, detail, "connection lost");
        }
        self.trouble = detail;
    }

    fn finished(&mut self, connection: usize, signals: &Signals, slots: usize) {
        let now = self.context.clock.now();
        let slot = &mut self.slots[connection];
        slot.holds = slot.holds.saturating_sub(signals.count());
        slot.free += slots;
        for (signal, count) in signals.iter() {
            self.hear(signal, count, now);
        }
        self.rest_if_drained();
    }

    /// Takes up what `count` answers in a row say.
    fn hear(&mut self, signal: Signal, count: usize, now: Millis) {
        match signal {
            Signal::Success => {
                self.breaker.success();
                let successes = &self.context.handle.successes;
                successes.fetch_add(count as u64, Ordering::Relaxed);
            }
            Signal::Neutral => self.breaker.unprobe(),
            Signal::Failure => (0..count).for_each(|_| self.breaker.failure(now)),
            Signal::Pause(wait) => {
                self.breaker.unprobe();
                self.pause(now.after(wait));
            }
            Signal::Halt(reason) => {
                if self.halted.is_none() {
                    tracing::error!(route = %self.context.handle.id, reason, "route halted");
                }
                self.halted = Some(reason);
            }
        }
    }

    /// The provider asked this node to wait.
    fn pause(&mut self, until: Millis) {
        self.paused_until = self.paused_until.max(Some(until));
        if self.known_pause.is_none_or(|known| until >= known.after(PAUSES_APART)) {
            self.context.outbox.paused(&self.context.handle.id, until);
            self.known_pause = Some(until);
        }
    }

    /// The provider asked another node to wait.
    fn pause_heard(&mut self, until: Millis) {
        self.paused_until = self.paused_until.max(Some(until));
        self.known_pause = self.known_pause.max(Some(until));
    }

    /// Whether anything may leave at `now`.
    fn allowance(&mut self, now: Millis) -> Allowance {
        let paused = self.paused_until.is_some_and(|until| now < until);
        if paused || self.halted.is_some() || self.draining.is_some() {
            Allowance::Nothing
        } else {
            self.paused_until = None;
            self.breaker.allowance(now)
        }
    }

    /// Hands queued tickets to free slots.
    fn pump(&mut self) {
        let now = self.context.clock.now();
        let mut batches: Vec<Vec<Ticket>> = self.slots.iter().map(|_| Vec::new()).collect();
        while !self.queue.is_empty() {
            let probe = match self.allowance(now) {
                Allowance::All => false,
                Allowance::Probe => true,
                Allowance::Nothing => break,
            };
            let freest = self.slots.iter_mut().enumerate().max_by_key(|(_, slot)| slot.free);
            let Some((index, slot)) = freest.filter(|(_, slot)| slot.free > 0) else { break };
            if !self.supply.has_any() {
                break;
            }
            let Some(ticket) = self.queue.pop() else { break };
            self.supply.spend();
            slot.free -= 1;
            slot.holds += 1;
            batches[index].push(ticket);
            if probe {
                self.breaker.probe();
            }
        }
        for (slot, batch) in self.slots.iter().zip(batches) {
            if !batch.is_empty() {
                slot.address.cast(ConnectionMessage::Send(batch));
            }
        }
        if self.allowance(now) != Allowance::Nothing {
            self.supply.refill();
        }
    }

    /// Time has passed: let go of tickets that are expired or whose citizen is
    /// being erased, look at the connections.
    fn tick(&mut self) {
        let now = self.context.clock.now();
        for mut ticket in self.queue.take_if(|ticket| ticket.is_over(now)) {
            // One that may go after all comes back unattempted.
            let end = ticket.prepare(now).err().unwrap_or(End::Returned);
            ticket.end(end);
        }
        for slot in &self.slots {
            slot.address.cast(ConnectionMessage::Tick);
        }
        self.show();
    }

    fn drain(&mut self, done: oneshot::Sender<()>) {
        self.draining.get_or_insert_with(Vec::new).push(done);
        // Dropped: each reports that no attempt was made.
        self.queue.take_if(|_| true);
        self.rest_if_drained();
    }

    fn rest_if_drained(&mut self) {
        let in_flight = self.in_flight();
        if let Some(waiting) = &mut self.draining
            && in_flight == 0
        {
            for done in waiting.drain(..) {
                // The caller may have given up waiting.
                let _ = done.send(());
            }
        }
    }

    fn in_flight(&self) -> usize {
        self.slots.iter().map(|slot| slot.holds).sum()
    }

    fn show(&self) {
        let connections = self.slots.iter().filter(|slot| slot.up).count();
        let mut is_paused = false;
        let (state, detail) = if let Some(reason) = self.halted {
            (RouteState::Halted, format!("the provider answered {reason}"))
        } else if connections == 0 {
            (RouteState::Down, self.trouble.clone())
        } else if self.context.guard.is_raised() {
            let detail = "the provider refuses every recipient; deliveries wait";
            (RouteState::Down, detail.to_owned())
        } else if self.breaker.is_open() {
            (RouteState::Down, "the provider fails; one probe at a time".to_owned())
        } else if self.paused_until.is_some_and(|until| self.context.clock.now() < until) {
            is_paused = true;
            (RouteState::Up, "paused at the provider's request".to_owned())
        } else {
            (RouteState::Up, String::new())
        };
        self.context.board.show_route(RouteView {
            id: self.context.handle.id.clone(),
            kind: self.context.carrier.as_str().to_owned(),
            state,
            connections,
            queued: self.queue.len() + self.in_flight(),
            waits_since: ByLane::from_fn(|lane| self.queue.first(lane)?.waits_since()),
            is_paused,
            detail,
        });
    }
}

#[cfg(test)]
mod tests;
