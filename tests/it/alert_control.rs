//! Pause, resume and cancel over HTTP, with as much in the air as the
//! providers take and more waiting behind: no attempt starts once the answer
//! is there, whatever happens to the server.

use std::time::Duration;

use araldo_loadtest::client::Client;
use araldo_loadtest::population::{Citizen, Mix, Population};
use araldo_loadtest::simulator::Behaviour;
use araldo_loadtest::simulator::mix::mix2;
use araldo_loadtest::stage::StageOptions;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use serde_json::Value;
use tokio::time::Instant;

use crate::alert_kit::walk;
use crate::alert_town::{
    ROUTES, Residents, Town, at_home, everyone, home, judge, number, records, requests, settled,
    taken,
};
use crate::stage_kit::{Person, until};

const LIMIT: Duration = Duration::from_secs(60);
/// So many that each puts a load together for each route: more than one
/// connection takes at one time.
const PARTITIONS: u16 = 16;
const RESIDENTS: u64 = 10_000;
/// Most streams on a connection (`provider/http2.rs`).
const WINDOW: u64 = 900;
/// Longer than it takes to fill the windows, see that they are full, and have
/// an order answered.
const LONG_MS: u32 = 5_000;
fn lasting(latency_ms: u32) -> Behaviour {
    Behaviour { latency_ms, ..Behaviour::default() }
}

/// An alert in the middle.
struct Flood {
    town: Town,
    id: String,
    /// Attempts so far.
    base: u64,
}

impl Flood {
    /// Every window is full, deliveries wait behind, and nothing will be
    /// answered for a while.
    async fn start(seed: u64) -> Self {
        let residents = Residents::plain(seed, RESIDENTS);
        let town = Town::with(residents, PARTITIONS, |options| {
            options.connections = 1;
            options.sessions = 1;
        })
        .await;
        let id = town.herald.send(at_home()).await;
        until("it goes on", LIMIT, || async { taken(&town.setting).await > 100 }).await;
        town.setting.behave(&lasting(LONG_MS)).await;
        until("more waits than the windows take", LIMIT, || async {
            let status = town.setting.stage.status().await.unwrap();
            let queued = |route: usize| number(&status["routes"][route], "queued");
            (queued(0) > WINDOW + 100, queued(1) > WINDOW + 100) == (true, true)
        })
        .await;
        let base = settled(&town.setting).await;
        Self { town, id, base }
    }

    /// Gives an order and has it answered before anything in the air is.
    async fn order(&self, order: &str) -> Value {
        assert_eq!(requests(&self.town.setting).await, self.base, "too late to ask");
        let view = self.town.herald.change(&self.id, order).await.expect(200).json();
        assert_eq!(requests(&self.town.setting).await, self.base, "started before the answer");
        view
    }

    /// Waits until what was in the air is in the books: its place was free for
    /// others then.
    async fn landed(&self) -> Value {
        until("all that was taken is in the books", LIMIT, || async {
            let view = self.town.herald.view(&self.id).await;
            sum(&view, "delivered") == taken(&self.town.setting).await
        })
        .await;
        self.town.herald.view(&self.id).await
    }

    /// The server is there again, and could send if it wanted to.
    async fn is_up(&self) {
        let ready = || async { self.town.setting.get("/readyz").await.status == StatusCode::OK };
        until("every route is up", LIMIT, ready).await;
    }

    async fn stands_still(&self) {
        assert_eq!(settled(&self.town.setting).await, self.base, "an attempt started");
    }
}

/// What all routes say together. One without a walk never came to it.
fn sum(view: &Value, field: &str) -> u64 {
    let walks = view["progress"]["walks"].as_array().unwrap().iter();
    walks.filter(|walk| walk["walk"] != "inbox").map(|walk| number(walk, field)).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_holds_over_every_restart_and_a_resume_goes_on_exactly() {
    let mut flood = Flood::start(11).await;
    assert_eq!(flood.order("pause").await["status"], "paused");
    let view = flood.landed().await;
    flood.stands_still().await;
    assert!(sum(&view, "pending") > 0, "what was queued waits: {view}");
    let paused_at = view["updated_at"].clone();
    for graceful in [false, true] {
        let stage = &mut flood.town.setting.stage;
        if graceful {
            assert_eq!(stage.stop_server().await.unwrap(), Some(0));
        } else {
            stage.kill_server().await.unwrap();
        }
        stage.restart_server().await.unwrap();
        flood.is_up().await;
        let view = flood.town.herald.view(&flood.id).await;
        assert_eq!((&view["status"], &view["updated_at"]), (&"paused".into(), &paused_at));
        flood.stands_still().await;
        let status = flood.town.setting.stage.status().await.unwrap();
        assert_eq!(number(&status["deliveries"], "pending"), sum(&view, "pending"), "{status}");
        flood.town.setting.assert_conserved().await;
    }
    let Flood { town, id, .. } = flood;
    assert_eq!(town.herald.change(&id, "pause").await.status, StatusCode::CONFLICT);
    town.setting.behave(&Behaviour::default()).await;
    assert_eq!(town.herald.change(&id, "resume").await.expect(200).json()["status"], "running");
    town.herald.ends_within(&id, "completed", LIMIT).await;
    assert_eq!(judge(&town.setting, &town.herald, &id, &town.reached()).await, 0, "repeated");
    town.setting.stage.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_lets_nothing_start_and_accounts_for_the_rest() {
    let mut flood = Flood::start(12).await;
    let asked = Instant::now();
    assert_eq!(flood.order("cancel").await["status"], "cancelled");
    // It waits for what is in the air, but not for as long as this takes.
    assert!(asked.elapsed() < Duration::from_millis(LONG_MS.into()) / 2, "{:?}", asked.elapsed());
    let view = flood.landed().await;
    flood.stands_still().await;
    assert!(sum(&view, "cancelled") > 0, "what was queued is cancelled: {view}");
    assert!(sum(&view, "visited") < sum(&view, "end"), "too late: {view}");
    let status = flood.town.setting.rest(LIMIT).await;
    for field in ["cancelled", "delivered"] {
        let inbox = number(walk(&view, "inbox"), field);
        let books = number(&status["deliveries"], field);
        assert_eq!(books, inbox + sum(&view, field), "{field}: {status}");
    }
    flood.town.setting.assert_conserved().await;
    // Who has it in the inbox keeps it.
    let first = Person::of(&flood.town.setting.stage, &flood.town.residents.citizen(0).fiscal_code);
    assert_eq!(first.inbox(false).await, [flood.id.clone()]);
    for order in ["pause", "resume", "cancel"] {
        let refused = flood.town.herald.change(&flood.id, order).await.expect(409).json();
        assert!(refused["detail"].as_str().unwrap().contains("cancelled"), "{refused}");
    }
    flood.town.setting.stage.kill_server().await.unwrap();
    flood.town.setting.stage.restart_server().await.unwrap();
    flood.is_up().await;
    assert_eq!(flood.town.herald.view(&flood.id).await, view, "as it was");
    flood.stands_still().await;
    flood.town.setting.assert_conserved().await;
    flood.town.setting.stage.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_of_a_paused_alert_is_cancelled_after_a_crash() {
    let mut flood = Flood::start(13).await;
    flood.order("pause").await;
    let waits = sum(&flood.landed().await, "pending");
    flood.town.setting.stage.kill_server().await.unwrap();
    flood.town.setting.stage.restart_server().await.unwrap();
    flood.is_up().await;
    let view = flood.town.herald.change(&flood.id, "cancel").await.expect(200).json();
    let ends = (sum(&view, "cancelled"), sum(&view, "pending"));
    assert_eq!(ends, (waits, 0), "in the answer already: {view}");
    flood.stands_still().await;
    flood.town.setting.rest(LIMIT).await;
    flood.town.setting.assert_conserved().await;
    flood.town.setting.stage.shutdown().await.unwrap();
}

/// Everybody has an address, nobody a device.
fn readers(seed: u64, count: u64) -> Residents {
    let change = |_: u64, citizen: &mut Citizen| citizen.municipality = home();
    Residents { population: Population::new(seed, count, Mix::MailOnly), change }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_mail_after_mail_goes_out_none_starts_once_a_stop_is_answered() {
    const SESSIONS: u32 = 4;
    let change = |options: &mut StageOptions| options.sessions = SESSIONS;
    let town = Town::with(readers(15, 3_000), 4, change).await;
    let id = town.herald.send(at_home()).await;
    for order in ["pause", "pause", "pause", "pause", "pause", "cancel"] {
        let before = taken(&town.setting).await;
        until("it goes on", LIMIT, || async { taken(&town.setting).await > before + 40 }).await;
        town.herald.change(&id, order).await.expect(200);
        let answered = requests(&town.setting).await;
        let after = settled(&town.setting).await;
        // Each session may have been about to say what it had begun.
        assert!(after <= answered + u64::from(SESSIONS), "{order}: {answered}, then {after}");
        assert_eq!(town.setting.stage.status().await.unwrap()["unaccounted"]["deliveries"], 0);
        if order == "pause" {
            town.herald.change(&id, "resume").await.expect(200);
        }
    }
    town.setting.rest(LIMIT).await;
    let view = town.herald.view(&id).await;
    assert_eq!(view["status"], "cancelled", "{view}");
    assert_eq!(sum(&view, "delivered"), taken(&town.setting).await, "{view}");
    assert_eq!(town.setting.mails().await.1, 0, "repeated");
    town.setting.assert_conserved().await;
    town.setting.stage.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_of_a_cancel_leaves_it_to_be_asked_again_or_done() {
    const ROUNDS: u64 = 6;
    /// Promise 2 for an alert, for one crash.
    const PROMISED: u64 = 256 * 4 * ROUTES.len() as u64;
    let latency = Behaviour { latency_ms: 50, jitter_ms: 100, ..Behaviour::default() };
    let mut town = Town::start(Residents::plain(14, 4_000), 4, &latency).await;
    let mut asked = Vec::new();
    for round in 0..ROUNDS {
        let before = taken(&town.setting).await;
        let id = town.herald.send(everyone()).await;
        until("it goes on", LIMIT, || async { taken(&town.setting).await > before + 20 }).await;
        let key = HeaderValue::from_str(&town.herald.key).unwrap();
        let mut sender = Client::sender(town.setting.stage.base_url(), key).unwrap();
        let path = format!("/api/v1/alerts/{id}/cancel");
        let cancel = tokio::spawn(async move { sender.post(&path, &Value::Null).await });
        tokio::time::sleep(Duration::from_millis(mix2(14, round) % 500)).await;
        town.setting.stage.kill_server().await.unwrap();
        let answered = cancel.await.unwrap().is_ok();
        town.setting.stage.restart_server().await.unwrap();
        match town.herald.status(&id).await.as_str() {
            "cancelled" => {}
            "running" => {
                assert!(!answered, "answered, and forgotten");
                town.herald.change(&id, "cancel").await.expect(200);
            }
            other => panic!("{other}"),
        }
        town.setting.stage.kill_server().await.unwrap();
        town.setting.stage.restart_server().await.unwrap();
        assert_eq!(town.herald.status(&id).await, "cancelled");
        asked.push((id, answered));
    }
    let base = settled(&town.setting).await;
    let ready = || async { town.setting.get("/readyz").await.status == StatusCode::OK };
    until("every route is up", LIMIT, ready).await;
    assert_eq!(settled(&town.setting).await, base, "an attempt started");
    let mut unknown = 0;
    for (id, answered) in &asked {
        let view = town.herald.view(id).await;
        assert_eq!((view["status"].as_str(), sum(&view, "pending")), (Some("cancelled"), 0));
        let booked = sum(&view, "delivered");
        let mut taken = 0;
        for (route, _) in ROUTES {
            taken += records(&town.setting, route, id).await.len() as u64;
        }
        // What was in the air when the server was killed, and is not done again,
        // is in no book: what a crash would have repeated. Who was answered
        // finds all of it there.
        let most = if *answered { 0 } else { PROMISED };
        assert!(booked <= taken && taken <= booked + most, "{booked} of {taken}, {answered}");
        unknown += taken - booked;
    }
    town.setting.rest(LIMIT).await;
    town.setting.assert_conserved().await;
    #[expect(clippy::print_stderr, reason = "a measurement of the test")]
    let () = eprintln!(
        "{} of {ROUNDS} were answered; {unknown} of {} deliveries are in no book",
        asked.iter().filter(|(_, answered)| *answered).count(),
        taken(&town.setting).await
    );
    town.setting.stage.shutdown().await.unwrap();
}
