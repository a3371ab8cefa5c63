//! The connection: one link to a provider, opened again when it closes.
//!
//! Owns the link's courier, which makes the attempts. If it crashes, or its
//! courier does, everything it has under way is dropped and reports itself;
//! the route's supervisor starts a new one.

use futures_util::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinSet;

use crate::cluster::Gate;
use crate::domain::id::RouteId;
use crate::message::connection::ConnectionMessage;
use crate::message::route::RouteMessage;
use crate::message::ticket::Ticket;
use crate::metric::RouteMetrics;
use crate::policy::backoff::{self, RetryPolicy};
use crate::policy::refusals::RefusalGuard;
use crate::port::clock::Clock;
use crate::port::provider::{ConnectError, Connector, Link};
use crate::supervise::Address;

mod courier;

use courier::{Courier, Order};

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
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// The actor.
pub(crate) struct Connection;

/// See the module's text.
pub(crate) struct State {
    arguments: Arguments,
    myself: ActorRef<ConnectionMessage>,
    metrics: RouteMetrics,
    /// Speaks to the courier of the open link.
    orders: Option<mpsc::Sender<Order>>,
    /// Number of the link, so that an earlier one's end is not taken for its.
    number: u64,
    failures: u16,
    /// Couriers, of which all but the last only wait for answers; an attempt
    /// to connect; a pause before one.
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
            orders: None,
            number: 0,
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
            ConnectionMessage::Closed { link } => state.closed(link),
            ConnectionMessage::Tick => state.look(),
        }
        state.reap()
    }
}

impl State {
    fn tell(&self, message: RouteMessage) {
        self.arguments.route.cast(message);
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
                self.number += 1;
                self.failures = 0;
                self.tell(RouteMessage::Up { connection: self.arguments.index });
                let (orders, courier) = self.courier(link);
                self.orders = Some(orders);
                self.tasks.spawn(courier.run());
            }
            Err(error) => {
                let detail = error.to_string();
                self.tell(RouteMessage::Lost { connection: self.arguments.index, detail });
                self.reconnect_later();
            }
        }
    }

    fn courier(&self, link: Arc<dyn Link>) -> (mpsc::Sender<Order>, Courier) {
        let (sender, orders) = mpsc::channel(courier::ORDERS);
        let courier = Courier {
            connection: self.arguments.index,
            number: self.number,
            route: self.arguments.route.clone(),
            myself: self.myself.clone(),
            link,
            clock: Arc::clone(&self.arguments.clock),
            metrics: self.metrics.clone(),
            id: self.arguments.id.clone(),
            guard: Arc::clone(&self.arguments.guard),
            gate: Arc::clone(&self.arguments.gate),
            orders,
            granted: 0,
        };
        (sender, courier)
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

    /// Hands tickets to the courier; back to the route without one.
    fn send(&self, tickets: Vec<Ticket>) {
        let order = Order::Attempt(tickets);
        let refused = match &self.orders {
            Some(courier) => courier.try_send(order).err().map(TrySendError::into_inner),
            None => Some(order),
        };
        if let Some(Order::Attempt(tickets)) = refused {
            self.tell(RouteMessage::Hold { connection: self.arguments.index, tickets });
        }
    }

    /// Lets the courier see whether its link still lives.
    fn look(&self) {
        if let Some(courier) = &self.orders {
            // Full: it has enough to look at. Gone: it has said so.
            let _ = courier.try_send(Order::Look);
        }
    }

    /// Lets a closed link go and opens a new one.
    fn closed(&mut self, link: u64) {
        if link == self.number && self.orders.take().is_some() {
            let detail = "the provider closed the connection".to_owned();
            self.tell(RouteMessage::Lost { connection: self.arguments.index, detail });
            self.reconnect_later();
        }
    }

    /// Collects finished tasks; one that panicked ends this actor.
    fn reap(&mut self) -> Result<(), ActorProcessingErr> {
        while let Some(ended) = self.tasks.try_join_next() {
            ended?;
        }
        Ok(())
    }
}
