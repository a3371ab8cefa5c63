//! The route by itself, under a supervisor, on a paused clock: pauses that
//! hold for all nodes.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::{Actor, ActorRef, Arc, Context, Duration, Millis, Notice, Route, RouteMessage, mpsc};
use crate::board::Board;
use crate::budget::LocalBudget;
use crate::domain::id::RouteId;
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
    told: mpsc::Receiver<Notice>,
    _root: ActorRef<()>,
}

impl Rig {
    async fn start(outbox: usize) -> Self {
        let clock = Arc::new(Paused(Instant::now()));
        let (sender, told) = mpsc::channel(outbox);
        let limits = BreakerLimits { threshold: 5, base: SECOND, max: SECOND };
        let intensity = Intensity { restarts: 10, within: SECOND };
        let context = Arc::new(Context {
            handle: RouteHandle::new(RouteId::parse("relay").unwrap()),
            carrier: Carrier::Email,
            connector: Arc::new(Nobody),
            connections: 1,
            breaker: limits,
            guard: Arc::default(),
            intensity,
            clock: clock.clone(),
            board: Arc::new(Board::new(1)),
            rate: None,
            budget: Arc::new(LocalBudget::new(clock.clone())),
            outbox: Some(sender),
        });
        let shared = Arc::clone(&context);
        let child = Child::of("route", || Route, move |_| Arc::clone(&shared));
        let children = Children::new(vec![child], intensity, clock);
        let (root, _ended) = Actor::spawn(None, Supervisor, children).await.unwrap();
        Self { context, told, _root: root }
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
    fn told(&mut self) -> Vec<u64> {
        let mut ends = Vec::new();
        while let Ok(Notice::Paused { route, until }) = self.told.try_recv() {
            assert_eq!(route.as_str(), "relay");
            ends.push((until.0 - START) / 1_000);
        }
        ends
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_told_once_however_many_answers_ask_for_it() {
    let mut rig = Rig::start(8).await;
    for _ in 0..50 {
        rig.asked_to_wait(60 * SECOND, 100).await;
    }
    assert_eq!(rig.told(), [60]);
    tokio::time::sleep(5 * SECOND).await;
    rig.asked_to_wait(60 * SECOND, 1).await;
    rig.asked_to_wait(SECOND, 1).await;
    assert_eq!(rig.told(), [65]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_told_by_another_node_is_not_told_again() {
    let mut rig = Rig::start(8).await;
    rig.tell(RouteMessage::PauseUntil(Millis(START).after(60 * SECOND))).await;
    rig.asked_to_wait(60 * SECOND, 10).await;
    assert_eq!(rig.told(), [0_u64; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_outbox_that_is_full_stops_nobody_and_gets_the_next_one() {
    let mut rig = Rig::start(1).await;
    rig.asked_to_wait(10 * SECOND, 1).await;
    rig.asked_to_wait(20 * SECOND, 1).await;
    assert_eq!(rig.told(), [10]);
    rig.asked_to_wait(20 * SECOND, 1).await;
    assert_eq!(rig.told(), [20]);
}
