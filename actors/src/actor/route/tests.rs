//! The route by itself, under a supervisor, on a paused clock: pauses that
//! hold for all nodes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::{Actor, ActorRef, Arc, Context, Duration, Gate, Millis, Outbox, Route, RouteMessage};
use crate::board::Board;
use crate::budget::LocalBudget;
use crate::domain::id::RouteId;
use crate::domain::notice::Notice;
use crate::domain::notification::Carrier;
use crate::message::route::{RouteHandle, Signal, Signals};
use crate::policy::breaker::BreakerLimits;
use crate::policy::restart::Intensity;
use crate::port::clock::Clock;
use crate::port::provider::{ConnectError, Connector, Link};
use crate::supervise::{Child, Children, Supervisor};
use async_trait::async_trait;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const START: u64 = 1_700_000_000_000;

struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> Millis {
        Millis(START).after(self.0.elapsed())
    }
}

struct Nobody;

#[async_trait]
impl Connector for Nobody {
    async fn connect(&self) -> Result<Arc<dyn Link>, ConnectError> {
        Err(ConnectError::Unreachable("nobody listens".to_owned()))
    }
}

/// One supervised route.
struct Rig {
    context: Arc<Context>,
    _root: ActorRef<()>,
}

impl Rig {
    async fn start() -> Self {
        let clock = Arc::new(Paused(Instant::now()));
        let limits = BreakerLimits { threshold: 5, base: SECOND, max: SECOND };
        let intensity = Intensity { restarts: 10, within: SECOND };
        let context = Arc::new(Context {
            handle: RouteHandle::new(RouteId::parse("relay").unwrap()),
            carrier: Carrier::Email,
            connector: Arc::new(Nobody),
            connections: 1,
            breaker: limits,
            guard: Arc::default(),
            gate: Arc::new(Gate::open()),
            outbox: Arc::new(Outbox::clustered()),
            intensity,
            clock: clock.clone(),
            board: Arc::new(Board::new(1)),
            rate: None,
            budget: Arc::new(LocalBudget::new(clock.clone())),
        });
        let shared = Arc::clone(&context);
        let child = Child::of("route", || Route, move |_| Arc::clone(&shared));
        let children = Children::new(vec![child], intensity, clock);
        let (root, _ended) = Actor::spawn(None, Supervisor, children).await.unwrap();
        Self { context, _root: root }
    }

    async fn tell(&self, message: RouteMessage) {
        assert!(self.context.handle.address.cast(message));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// The provider answers `count` attempts with this pause.
    async fn asked_to_wait(&self, wait: Duration, count: usize) {
        let mut signals = Signals::default();
        (0..count).for_each(|_| signals.add(Signal::Pause(wait)));
        self.tell(RouteMessage::Finished { connection: 0, signals, slots: 0 }).await;
    }

    /// Ends of the pauses told to the other nodes, in seconds from the start.
    fn told(&self) -> Vec<u64> {
        let end = |notice| match notice {
            Notice::Paused { route, until } if route.as_str() == "relay" => {
                (until.0 - START) / 1_000
            }
            other => panic!("{other:?}"),
        };
        self.context.outbox.take().into_iter().map(end).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_told_once_however_many_answers_ask_for_it() {
    let rig = Rig::start().await;
    rig.asked_to_wait(60 * SECOND, 100).await;
    assert_eq!(rig.told(), [60]);
    for _ in 0..50 {
        rig.asked_to_wait(60 * SECOND, 100).await;
    }
    assert_eq!(rig.told(), [0_u64; 0]);
    tokio::time::sleep(5 * SECOND).await;
    rig.asked_to_wait(60 * SECOND, 1).await;
    rig.asked_to_wait(SECOND, 1).await;
    assert_eq!(rig.told(), [65]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_told_by_another_node_is_not_told_again() {
    let rig = Rig::start().await;
    rig.tell(RouteMessage::PauseUntil(Millis(START).after(60 * SECOND))).await;
    rig.asked_to_wait(60 * SECOND, 10).await;
    assert_eq!(rig.told(), [0_u64; 0]);
}
