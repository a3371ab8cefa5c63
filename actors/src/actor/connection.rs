//! The connection: one link to a provider and its window of attempts.
//!
//! Grants the route as many slots as the link takes, makes the attempts as
//! tasks it owns, and opens a new link when the old one closes. If it
//! crashes, its tasks are aborted and their tickets, dropped, report
//! themselves; the route's supervisor starts a new one.

use futures_util::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

use crate::domain::answer::Answer;
use crate::domain::id::RouteId;
use crate::message::connection::ConnectionMessage;
use crate::message::route::{RouteMessage, Signal};
use crate::message::ticket::{End, Ticket};
use crate::metric::RouteMetrics;
use crate::policy::backoff::{self, RetryPolicy};
use crate::policy::refusals::{self, RefusalGuard};
use crate::port::clock::Clock;
use crate::port::provider::{ConnectError, Connector, Link};
use crate::supervise::Address;

/// How a closed connection is opened again: soon, then ever more rarely.
/// Fast connecting and disconnecting is taken for an attack (Apple,
/// "Sending notification requests to APNs").
const RECONNECT: RetryPolicy = RetryPolicy {
    base: Duration::from_millis(500),
    max: Duration::from_secs(30),
    budget: u16::MAX,
};

/// What a connection starts from.
pub(crate) struct Arguments {
    pub(crate) index: usize,
    pub(crate) route: Address<RouteMessage>,
    pub(crate) address: Address<ConnectionMessage>,
    pub(crate) id: RouteId,
    pub(crate) connector: Arc<dyn Connector>,
    /// The route's, shared by its connections.
    pub(crate) guard: Arc<RefusalGuard>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// The actor.
pub(crate) struct Connection;

/// See the module's text.
pub(crate) struct State {
    arguments: Arguments,
    myself: ActorRef<ConnectionMessage>,
    metrics: RouteMetrics,
    link: Option<Arc<dyn Link>>,
    /// Number of the link, so that answers over an earlier one free no slot.
    number: u64,
    in_flight: usize,
    /// Slots granted to the route and not yet used.
    granted: usize,
    failures: u16,
    tasks: JoinSet<()>,
}

impl Actor for Connection {
    type Msg = ConnectionMessage;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<ConnectionMessage>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        arguments.address.set(myself.clone());
        myself.cast(ConnectionMessage::Connect)?;
        Ok(State {
            metrics: RouteMetrics::new(&arguments.id),
            arguments,
            myself,
            link: None,
            number: 0,
            in_flight: 0,
            granted: 0,
            failures: 0,
            tasks: JoinSet::new(),
        })
    }

    async fn handle(
        &self,
        _myself: ActorRef<ConnectionMessage>,
        message: ConnectionMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ConnectionMessage::Connect => state.connect(),
            ConnectionMessage::Opened(opened) => state.opened(opened),
            ConnectionMessage::Send(tickets) => state.send(tickets),
            ConnectionMessage::Done { link, ticket, answer } => state.done(link, ticket, answer),
            ConnectionMessage::Tick => {
                state.check();
                // The peer may have raised its limit while nothing was in flight.
                state.grant();
            }
        }
        state.reap();
        Ok(())
    }
}

impl State {
    fn tell(&self, message: RouteMessage) {
        self.arguments.route.cast(message);
    }

    fn finished(&self, signal: Signal) {
        self.tell(RouteMessage::Finished { connection: self.arguments.index, signal });
    }

    fn connect(&mut self) {
        let connector = Arc::clone(&self.arguments.connector);
        let myself = self.myself.clone();
        self.tasks.spawn(async move {
            let opened = AssertUnwindSafe(connector.connect()).catch_unwind().await;
            let opened = opened.unwrap_or_else(|_| {
                Err(ConnectError::Unreachable("connecting panicked".to_owned()))
            });
            // Fails only when this actor is gone, and the link with it.
            let _ = myself.cast(ConnectionMessage::Opened(opened));
        });
    }

    fn opened(&mut self, opened: Result<Arc<dyn Link>, ConnectError>) {
        match opened {
            Ok(link) => {
                self.link = Some(link);
                self.number += 1;
                self.in_flight = 0;
                self.granted = 0;
                self.failures = 0;
                self.tell(RouteMessage::Up { connection: self.arguments.index });
                self.grant();
            }
            Err(error) => {
                let detail = error.to_string();
                self.tell(RouteMessage::Lost { connection: self.arguments.index, detail });
                self.reconnect_later();
            }
        }
    }

    /// Opens a new link after a pause that grows with each failure. Jitter
    /// comes from the connection's place among its siblings.
    fn reconnect_later(&mut self) {
        let spread = 1.0 / (2.0 + self.arguments.index as f64);
        let wait = backoff::delay(&RECONNECT, self.failures, None, 0.5 + spread);
        self.failures = self.failures.saturating_add(1);
        let myself = self.myself.clone();
        self.tasks.spawn(async move {
            tokio::time::sleep(wait).await;
            let _ = myself.cast(ConnectionMessage::Connect);
        });
    }

    /// Grants the route what the link takes beyond what is used or granted.
    fn grant(&mut self) {
        let Some(link) = &self.link else { return };
        let slots = link.capacity().saturating_sub(self.in_flight + self.granted);
        if slots > 0 {
            self.granted += slots;
            self.tell(RouteMessage::Free { connection: self.arguments.index, slots });
        }
    }

    fn send(&mut self, tickets: Vec<Ticket>) {
        self.check();
        let Some(link) = self.link.clone() else {
            self.tell(RouteMessage::Hold { connection: self.arguments.index, tickets });
            return;
        };
        for ticket in tickets {
            self.granted = self.granted.saturating_sub(1);
            self.start(&link, ticket);
        }
    }

    /// Starts an attempt, unless time or the citizen's choice now forbids it
    /// (promise 3).
    fn start(&mut self, link: &Arc<dyn Link>, mut ticket: Ticket) {
        let notification = match ticket.prepare(self.arguments.clock.now()) {
            Ok(notification) => notification,
            Err(end) => {
                ticket.end(end);
                self.finished(Signal::Neutral);
                self.grant();
                return;
            }
        };
        self.in_flight += 1;
        let link = Arc::clone(link);
        let number = self.number;
        let myself = self.myself.clone();
        self.tasks.spawn(async move {
            let sent = AssertUnwindSafe(link.send(&notification)).catch_unwind().await;
            let answer = sent.unwrap_or(Answer::Unknown { reason: "panic" });
            // Should this actor be gone, the ticket drops and the delivery is
            // repeated under the same id.
            let _ = myself.cast(ConnectionMessage::Done { link: number, ticket, answer });
        });
    }

    fn done(&mut self, link: u64, ticket: Ticket, answer: Answer) {
        if link == self.number {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        if let Some(errand) = ticket.errand() {
            let waited = self.arguments.clock.now().since(errand.message.accepted_at);
            self.metrics.answered(&answer, waited.as_secs_f64());
        }
        let answer = self.judge(answer);
        let signal = signal(&answer);
        ticket.end(End::Answered(answer));
        self.finished(signal);
        self.check();
        self.grant();
    }

    /// What to make of an answer beside those before it. The metrics count what
    /// the provider said.
    fn judge(&self, answer: Answer) -> Answer {
        let guard = &self.arguments.guard;
        let was_raised = guard.is_raised();
        let answer = guard.judge(answer);
        if !was_raised && guard.is_raised() {
            tracing::error!(
                route = %self.arguments.id,
                in_a_row = refusals::MOST_IN_A_ROW,
                "the provider refuses every recipient: deliveries wait until it accepts one"
            );
        }
        answer
    }

    /// Lets a closed link go and opens a new one.
    fn check(&mut self) {
        if self.link.as_ref().is_some_and(|link| link.is_closed()) {
            self.link = None;
            self.granted = 0;
            let detail = "the provider closed the connection".to_owned();
            self.tell(RouteMessage::Lost { connection: self.arguments.index, detail });
            self.reconnect_later();
        }
    }

    /// Collects finished tasks.
    fn reap(&mut self) {
        while self.tasks.try_join_next().is_some() {}
    }
}

/// What an answer about one delivery says about the route.
const fn signal(answer: &Answer) -> Signal {
    match answer {
        Answer::Accepted | Answer::DropToken { .. } | Answer::Fail { .. } => Signal::Success,
        Answer::RetryDelivery { .. } | Answer::RetryElsewhere { .. } => Signal::Neutral,
        Answer::ProviderFailed { .. }
        | Answer::Unknown { .. }
        | Answer::RetryRoute { after: None, .. } => Signal::Failure,
        Answer::RetryRoute { after: Some(wait), .. } => Signal::Pause(*wait),
        Answer::Halt { reason } => Signal::Halt(reason),
    }
}
