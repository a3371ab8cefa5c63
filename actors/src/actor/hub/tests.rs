//! The hub by itself, under a supervisor, on a paused clock.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::{Arc, Context, House, Hub, HubHandle, HubMessage};
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::time::Millis;
use crate::live::{LiveLimits, LiveRefused, LiveSession};
use crate::policy::restart::Intensity;
use crate::port::clock::Clock;
use crate::supervise::{Child, Children, Supervisor};
use ractor::{Actor, ActorRef};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

struct Still;

impl Clock for Still {
    fn now(&self) -> Millis {
        Millis(0)
    }
}

fn citizen(number: usize) -> FiscalCode {
    FiscalCode::parse(&format!("SNTTST80A01A{number:03}X")).unwrap()
}

/// One supervised hub.
struct Rig {
    context: Arc<Context>,
    root: ActorRef<()>,
}

impl Rig {
    async fn start(max_sessions: usize, max_sessions_per_citizen: usize) -> Self {
        let house = Arc::new(House::new(LiveLimits { max_sessions, max_sessions_per_citizen }));
        let hubs: Arc<[HubHandle]> = [HubHandle::new(max_sessions)].into();
        let context = Arc::new(Context { hubs, index: 0, house });
        let shared = Arc::clone(&context);
        let child = Child::of("hub 0", || Hub, move |_| Arc::clone(&shared));
        let intensity = Intensity { restarts: 10, within: Duration::from_secs(10) };
        let children = Children::new(vec![child], intensity, Arc::new(Still));
        let (root, _ended) = Actor::spawn(None, Supervisor, children).await.unwrap();
        Self { context, root }
    }

    fn hub(&self) -> &HubHandle {
        self.context.handle()
    }

    async fn enter(&self, number: usize) -> Result<LiveSession, LiveRefused> {
        let (reply, entered) = oneshot::channel();
        assert!(self.hub().address.cast(HubMessage::Enter { citizen: citizen(number), reply }));
        entered.await.unwrap()
    }

    async fn revoke(&self, number: usize) {
        let (done, closed) = oneshot::channel();
        let done = Some(done);
        assert!(self.hub().address.cast(HubMessage::Revoke { citizen: citizen(number), done }));
        closed.await.unwrap();
    }

    fn open(&self) -> usize {
        self.context.house.open()
    }
}

const SOON: Duration = Duration::from_millis(100);

/// Whether the session is woken (`Some(true)`) or ends (`Some(false)`) soon.
async fn hears(session: &mut LiveSession) -> Option<bool> {
    timeout(SOON, session.changed()).await.ok()
}

#[tokio::test(start_paused = true)]
async fn a_session_is_woken_by_its_citizen_and_not_by_others() {
    let rig = Rig::start(1_000, 10).await;
    let mut first = rig.enter(1).await.unwrap();
    let mut again = rig.enter(1).await.unwrap();
    let mut second = rig.enter(2).await.unwrap();
    assert_eq!(hears(&mut first).await, None, "nothing happened yet");
    rig.hub().ring([&citizen(1), &citizen(3)].into_iter());
    assert_eq!(hears(&mut first).await, Some(true));
    assert_eq!(hears(&mut again).await, Some(true));
    assert_eq!(hears(&mut second).await, None);
    assert_eq!(hears(&mut first).await, None, "one change is told once");
}

#[tokio::test(start_paused = true)]
async fn a_change_between_two_looks_is_not_missed() {
    let rig = Rig::start(10, 10).await;
    let mut session = rig.enter(1).await.unwrap();
    for _ in 0..3 {
        rig.hub().ring([&citizen(1)].into_iter());
        tokio::time::sleep(SOON).await;
        assert_eq!(hears(&mut session).await, Some(true));
    }
}

#[tokio::test(start_paused = true)]
async fn revoking_ends_a_citizens_sessions_even_with_a_change_not_yet_read() {
    let rig = Rig::start(10, 10).await;
    let mut revoked = rig.enter(1).await.unwrap();
    let mut other = rig.enter(2).await.unwrap();
    rig.hub().ring([&citizen(1)].into_iter());
    tokio::time::sleep(SOON).await;
    rig.revoke(1).await;
    assert_eq!(hears(&mut revoked).await, Some(false));
    assert_eq!(hears(&mut other).await, None);
    assert_eq!(rig.open(), 1);
    assert!(rig.enter(1).await.is_ok(), "a new session may be opened");
}

#[tokio::test(start_paused = true)]
async fn sessions_beyond_a_limit_are_refused_and_places_come_back() {
    let rig = Rig::start(3, 2).await;
    let first = rig.enter(1).await.unwrap();
    let _second = rig.enter(1).await.unwrap();
    assert_eq!(rig.enter(1).await.err(), Some(LiveRefused::TooManyOfCitizen));
    let third = rig.enter(2).await.unwrap();
    assert_eq!(rig.enter(3).await.err(), Some(LiveRefused::TooMany));
    drop(third);
    let _fourth = rig.enter(3).await.unwrap();
    drop(first);
    let _fifth = rig.enter(1).await.unwrap();
    assert_eq!(rig.open(), 3);
}

#[tokio::test(start_paused = true)]
async fn sessions_whose_reader_has_gone_leave_nothing_behind() {
    let rig = Rig::start(1_000, 10).await;
    let sessions: Vec<_> =
        futures_util::future::join_all((0..500).map(|number| rig.enter(number))).await;
    assert_eq!(rig.open(), 500);
    drop(sessions);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(rig.open(), 0);
    rig.hub().ring((0..500).map(citizen).collect::<Vec<_>>().iter());
    assert!(rig.hub().bells.take().is_empty(), "nobody listens");
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_hung_up_before_the_answer_takes_no_place() {
    let rig = Rig::start(10, 10).await;
    let (reply, entered) = oneshot::channel();
    drop(entered);
    assert!(rig.hub().address.cast(HubMessage::Enter { citizen: citizen(1), reply }));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(rig.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_crash_ends_every_session_and_the_next_hub_serves_again() {
    let rig = Rig::start(10, 10).await;
    let mut session = rig.enter(1).await.unwrap();
    rig.hub().ring([&citizen(1)].into_iter());
    rig.hub().address.actor().unwrap().kill();
    assert_eq!(timeout(SOON, async { while session.changed().await {} }).await, Ok(()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.open(), 0);
    let mut back = rig.enter(1).await.unwrap();
    rig.hub().ring([&citizen(1)].into_iter());
    assert_eq!(hears(&mut back).await, Some(true));
    assert_eq!(rig.open(), 1);
    rig.root.stop(None);
    assert_eq!(timeout(SOON, async { while back.changed().await {} }).await, Ok(()));
}
