//! Live sessions: woken by what is stored, ended by who may end them.

use super::MINUTE;
use super::harness::{Harness, OPTIONS, citizen, with_address};
use araldo::store::memory::MemoryStore;
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::inbox::{InboxChange, InboxEvent, MarkChange};
use araldo_actors::engine::{ChangeError, Engine, UnknownCitizen};
use araldo_actors::live::{LiveLimits, LiveRefused, LiveSession};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const SOON: Duration = Duration::from_millis(200);

async fn with_citizens(count: usize) -> Harness {
    let harness = Harness::start().await;
    harness.register((0..count).map(citizen).collect()).await;
    harness
}

/// Whether the session is woken (`Some(true)`) or ends (`Some(false)`) soon.
async fn hears(session: &mut LiveSession) -> Option<bool> {
    timeout(SOON, session.changed()).await.ok()
}

async fn events(engine: &Engine, number: usize, after: u64) -> Vec<InboxEvent> {
    engine.events(citizen(number).fiscal_code, Some(after), 1_000).await.unwrap().events
}

#[tokio::test(start_paused = true)]
async fn a_session_is_woken_when_its_message_can_be_read_and_activates_nobody() {
    let harness = with_citizens(2).await;
    let engine = &harness.running.engine;
    let code = citizen(0).fiscal_code;
    let mut session = engine.live(code).await.unwrap();
    let mut other = engine.live(citizen(1).fiscal_code).await.unwrap();
    let newest = engine.events(code, None, 0).await.unwrap().newest;
    tokio::time::sleep(SOON).await;
    assert_eq!(engine.board().active_citizens(), 0);
    let id = harness.submit(code).await;
    assert!(session.changed().await);
    let seen = events(engine, 0, newest).await;
    assert_eq!(seen.iter().map(|event| event.item.message.id).collect::<Vec<_>>(), [id]);
    assert_eq!(seen[0].change, InboxChange::Published);
    assert_eq!(hears(&mut other).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_mark_wakes_the_citizens_other_sessions() {
    let harness = with_citizens(1).await;
    let engine = &harness.running.engine;
    let code = citizen(0).fiscal_code;
    let id = harness.submit(code).await;
    harness.settle(MINUTE).await;
    let newest = engine.events(code, None, 0).await.unwrap().newest;
    let mut session = engine.live(code).await.unwrap();
    let read = MarkChange { read: true, archived: None };
    engine.mark(code, id, read).await.unwrap().unwrap();
    assert_eq!(hears(&mut session).await, Some(true));
    let seen = events(engine, 0, newest).await;
    assert_eq!((seen.len(), seen[0].change), (1, InboxChange::Marked));
    assert!(seen[0].item.entry.marks.read);
    let unknown = engine.mark(code, MessageId::from_bytes([9; 16]), read).await;
    assert_eq!(unknown, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_lost_phone_ends_the_sessions_and_forgets_the_devices_at_once() {
    let harness = with_citizens(2).await;
    let engine = &harness.running.engine;
    let (lost, other) = (citizen(0).fiscal_code, citizen(1).fiscal_code);
    let mut sessions = [engine.live(lost).await.unwrap(), engine.live(lost).await.unwrap()];
    let mut kept = engine.live(other).await.unwrap();
    let revoked = engine.revoke_sessions(lost).await.unwrap();
    assert!(revoked.devices.is_empty());
    assert_eq!(revoked.sessions_revoked_at, engine.now());
    for session in &mut sessions {
        assert_eq!(hears(session).await, Some(false));
    }
    assert_eq!(hears(&mut kept).await, None);
    harness.submit(lost).await;
    harness.settle(MINUTE).await;
    assert_eq!(harness.provider.count(), 0, "no device is left");
    let nobody = engine.revoke_sessions(citizen(7).fiscal_code).await;
    assert_eq!(nobody, Err(ChangeError::Refused(UnknownCitizen)));
}

#[tokio::test(start_paused = true)]
async fn sessions_beyond_the_limits_are_refused() {
    let mut options = OPTIONS;
    options.live = LiveLimits { max_sessions: 5, max_sessions_per_citizen: 2 };
    let harness = Harness::start_with(options, Arc::new(MemoryStore::new(4))).await;
    let engine = &harness.running.engine;
    let open = |number| engine.live(citizen(number).fiscal_code);
    let mut sessions = vec![open(0).await.unwrap(), open(0).await.unwrap()];
    assert_eq!(open(0).await.err(), Some(LiveRefused::TooManyOfCitizen));
    // Over all hubs together, exactly.
    for number in 1..=3 {
        sessions.push(open(number).await.unwrap());
    }
    for number in 4..20 {
        assert_eq!(open(number).await.err(), Some(LiveRefused::TooMany));
    }
    drop(sessions);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let opened = futures_util::future::join_all((4..9).map(open)).await;
    assert!(opened.iter().all(Result::is_ok), "the places came back");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_engine_ends_the_sessions() {
    let harness = with_citizens(1).await;
    let code = citizen(0).fiscal_code;
    let engine = harness.running.engine.clone();
    let mut session = engine.live(code).await.unwrap();
    harness.running.shutdown(MINUTE).await;
    assert_eq!(hears(&mut session).await, Some(false));
    assert_eq!(engine.live(code).await.err(), Some(LiveRefused::Unavailable));
}

const READERS: usize = 200;
const CITIZENS: usize = 20;
const EACH: usize = 40;

/// Follows a citizen's inbox as a live session does: enter, read, wait, read.
/// Returns the messages in the order seen, once there are as many as expected.
async fn follow(engine: Engine, number: usize) -> Vec<MessageId> {
    let code = citizen(number).fiscal_code;
    let mut session = engine.live(code).await.unwrap();
    let (mut place, mut seen) = (0, Vec::new());
    loop {
        let read = engine.events(code, Some(place), 7).await.unwrap();
        for event in &read.events {
            assert!(event.sequence > place);
            place = event.sequence;
            seen.push(event.item.message.id);
        }
        if seen.len() >= EACH {
            return seen;
        }
        if read.events.is_empty() {
            assert!(session.changed().await, "the session ended");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_enters_while_messages_are_published_misses_none_and_sees_none_twice() {
    let harness = Harness::start().await;
    harness.register((0..CITIZENS).map(with_address).collect()).await;
    let mut readers = tokio::task::JoinSet::new();
    for reader in 0..READERS {
        let engine = harness.running.engine.clone();
        readers.spawn(async move {
            // In the midst of it, each at another moment.
            tokio::time::sleep(Duration::from_millis(7 * reader as u64)).await;
            let seen = timeout(MINUTE, follow(engine, reader % CITIZENS)).await;
            (reader % CITIZENS, seen.expect("a wake was missed"))
        });
    }
    for number in 0..CITIZENS * EACH {
        harness.submit(citizen(number % CITIZENS).fiscal_code).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut done = 0;
    while let Some(reader) = readers.join_next().await {
        let (number, seen) = reader.unwrap();
        let inbox = events(&harness.running.engine, number, 0).await;
        assert_eq!(seen, inbox.iter().map(|event| event.item.message.id).collect::<Vec<_>>());
        assert_eq!(seen.len(), EACH);
        done += 1;
    }
    assert_eq!(done, READERS);
}

/// The same on real threads and a real clock, where a wake can be lost for
/// want of a memory barrier.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_is_lost_between_threads() {
    let harness = Harness::start().await;
    harness.register((0..CITIZENS).map(citizen).collect()).await;
    let mut readers = tokio::task::JoinSet::new();
    for reader in 0..CITIZENS * 5 {
        let engine = harness.running.engine.clone();
        readers.spawn(async move {
            tokio::time::sleep(Duration::from_micros(300 * reader as u64)).await;
            let seen = timeout(Duration::from_secs(30), follow(engine, reader % CITIZENS)).await;
            seen.expect("a wake was missed").len()
        });
    }
    for number in 0..CITIZENS * EACH {
        harness.submit(citizen(number % CITIZENS).fiscal_code).await;
    }
    while let Some(seen) = readers.join_next().await {
        assert_eq!(seen.unwrap(), EACH);
    }
}
