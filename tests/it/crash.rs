//! The server is killed, or ended, while messages keep coming: nothing that
//! was answered 201 is lost, nothing is invented, and what is repeated at a
//! provider is bounded and carries the same id (promises 1, 2 and 6).

use std::time::Duration;

use araldo_loadtest::simulator::Behaviour;
use araldo_loadtest::simulator::mix::mix2;
use araldo_loadtest::stage::StageOptions;

use crate::stage_kit::Setting;
use load::{Load, Registry};

mod load;
mod verdict;

/// Slices, connections and credits of the server under test: small, so that
/// what a crash may repeat is small and the bound is one worth holding.
const PARTITIONS: u64 = 16;
const CREDITS: u64 = 16;
const CONNECTIONS: u64 = 2;
/// To Apple, to Google, to the relay.
const ROUTES: u64 = 3;
/// Most streams on a connection (`provider/http2.rs`).
const WINDOW: u64 = 900;
/// To the relay, one mail at a time each: with attempts of 5 to 20 ms, more
/// than the senders write.
const SESSIONS: u64 = 16;

/// Seed of the moments of the kills, and of citizens and messages.
const SEED: u64 = 20_261_122;

/// Promise 2, for one crash: attempts in flight, and 256 not yet checkpointed
/// per partition and route.
const PROMISED: u64 = CONNECTIONS * (ROUTES - 1) * WINDOW + SESSIONS + 256 * PARTITIONS * ROUTES;
/// What the credits allow: a partition hands no more to a route without
/// having stored the answer to what it handed over before.
const BY_CREDITS: u64 = PARTITIONS * ROUTES * CREDITS;

fn options(options: &mut StageOptions) {
    // Attempts last 5 to 20 ms, so that every kill finds some in flight.
    options.behaviour = Behaviour { latency_ms: 5, jitter_ms: 15, ..Behaviour::default() };
    options.connections = u32::try_from(CONNECTIONS).unwrap();
    options.sessions = u32::try_from(SESSIONS).unwrap();
    options.retry_base_ms = Some(200);
    options.extra_config = format!("[engine]\npartitions = {PARTITIONS}\ncredits = {CREDITS}\n");
}

/// Milliseconds from one start to the next end: sometimes right after it.
fn moment(number: u64) -> Duration {
    Duration::from_millis(mix2(SEED, number) % 1_600)
}

/// Starts the server and kills it while it starts, or just after.
async fn false_start(setting: &mut Setting, number: u64) {
    let limit = Duration::from_millis(mix2(SEED + 1, number) % 250);
    // Cut off, the start takes its process along.
    let started = tokio::time::timeout(limit, setting.stage.restart_server()).await;
    assert!(started.is_err() || started.is_ok_and(|started| started.is_ok()));
    setting.stage.kill_server().await.unwrap();
    // A process that is killed gives its port back a moment later.
    tokio::time::sleep(Duration::from_millis(200)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_kills_under_load_lose_nothing() {
    const KILLS: u64 = 10;
    let mut setting = Setting::start(options).await;
    let registry = Registry::fill(&setting, SEED).await;
    let load = Load::start(&setting, &registry);
    for number in 0..KILLS {
        tokio::time::sleep(moment(number)).await;
        setting.stage.kill_server().await.unwrap();
        if number % 3 == 1 {
            false_start(&mut setting, number).await;
        }
        setting.stage.restart_server().await.unwrap_or_else(|error| panic!("{error}"));
    }
    let driven = load.end().await;
    let verdict = verdict::judge(&setting, &registry, &driven).await;
    assert!(driven.network_errors > 0, "no kill was felt: {driven:?}");
    for audit in [&verdict.push, &verdict.mail] {
        assert!(audit.duplicates > 0, "no kill found an attempt in flight: {audit:?}");
    }
    let repeated = verdict.push.duplicates + verdict.mail.duplicates;
    for (bound, name) in [(PROMISED, "promise 2"), (BY_CREDITS, "the credits")] {
        let most = KILLS * bound;
        assert!(repeated <= most, "{repeated} > {most} by {name}");
    }
    // Shown with --nocapture: what was measured, beside what is allowed.
    #[expect(clippy::print_stderr, reason = "a measurement of the test")]
    let () = eprintln!(
        "{} accepted, {} pushes, {} mails, {} and {} repeated in {KILLS} kills (credits allow {}, promise 2 {})",
        verdict.push.accepted,
        verdict.push.delivered,
        verdict.mail.delivered,
        verdict.push.duplicates,
        verdict.mail.duplicates,
        KILLS * BY_CREDITS,
        KILLS * PROMISED
    );
    setting.stage.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_restart_under_load_repeats_nothing() {
    let mut setting = Setting::start(options).await;
    let registry = Registry::fill(&setting, SEED + 1).await;
    let load = Load::start(&setting, &registry);
    for number in 0..4 {
        tokio::time::sleep(Duration::from_millis(300) + moment(100 + number)).await;
        assert_eq!(setting.stage.stop_server().await.unwrap(), Some(0), "the exit code");
        setting.stage.restart_server().await.unwrap_or_else(|error| panic!("{error}"));
    }
    let driven = load.end().await;
    let verdict = verdict::judge(&setting, &registry, &driven).await;
    assert!(driven.network_errors > 0, "no restart was felt: {driven:?}");
    assert_eq!((verdict.push.duplicates, verdict.mail.duplicates), (0, 0), "{verdict:?}");
    setting.stage.shutdown().await.unwrap();
}
