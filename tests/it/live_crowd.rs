//! Thousands of live sessions, and a server that is killed and restarted
//! under them: each ends with exactly the messages of its inbox, none missing,
//! none twice.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use araldo_loadtest::driver::{DriveReport, Source, drive};
use araldo_loadtest::live::{LiveCrowd, raise_open_files, read_inbox};
use araldo_loadtest::population::Mix;
use araldo_loadtest::stage::Stage;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::stage_kit::{ARALDO, Setting, Town, driver, until};

const SESSIONS: u64 = 5_000;
/// Messages to each citizen while the server goes away once.
const EACH: u64 = 1;
/// Sessions are open, or open again, within this time.
const OPEN_LIMIT: Duration = Duration::from_secs(120);
/// The last event comes within this time after the last answer.
const SEEN_LIMIT: Duration = Duration::from_secs(120);
/// After the last expected event: what comes twice comes soon.
const LINGER: Duration = Duration::from_secs(1);
/// Inboxes read at the same time.
const READERS: usize = 16;

/// How the server goes.
#[derive(Clone, Copy, Debug)]
enum End {
    /// SIGKILL.
    Killed,
    /// SIGTERM.
    Told,
}

/// A server as a login shell would start it: with the usual soft limit of
/// open files, which is far below what it needs.
fn with_few_files(folder: &std::path::Path) -> PathBuf {
    let program = folder.join("araldo-with-few-files");
    let text = format!("#!/bin/sh\nulimit -Sn 1024 && exec '{ARALDO}' \"$@\"\n");
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    program
}

/// Sends a message to every citizen; in the middle of it the server ends and
/// comes back, and so do all sessions.
async fn go_through(
    end: End,
    stage: &mut Stage,
    crowd: &LiveCrowd,
    source: &Source,
    range: std::ops::Range<u64>,
) -> DriveReport {
    let half = crowd.events() + (range.end - range.start) / 2;
    let sending = drive(driver(stage.base_url(), range), Arc::clone(source));
    let ending = async {
        until("half of it was seen", SEEN_LIMIT, || async { crowd.events() >= half }).await;
        match end {
            End::Killed => stage.kill_server().await.unwrap(),
            End::Told => assert_eq!(stage.stop_server().await.unwrap(), Some(0)),
        }
        stage.restart_server().await.unwrap_or_else(|error| panic!("{error}"));
    };
    let (sent, ()) = tokio::join!(sending, ending);
    let sent = sent.unwrap();
    assert_eq!((sent.refused, sent.gave_up), (0, 0), "{:?}", sent.statuses);
    assert!(sent.network_errors > 0, "{end:?} was not felt by the senders");
    sent
}

/// Every session is open on the server that runs now.
async fn all_are_live(setting: &Setting) {
    let live = || async { setting.gauge("araldo_live_sessions").await as u64 == SESSIONS };
    until("all sessions are live", OPEN_LIMIT, live).await;
}

/// Tells the crowd what is in each citizen's inbox, as the citizen API tells
/// it; and that is what the senders were told was accepted.
async fn expect_inboxes(crowd: &LiveCrowd, base: &str, tokens: &[String], sent: &[DriveReport]) {
    let mut accepted = vec![HashSet::new(); tokens.len()];
    for message in sent.iter().flat_map(|report| &report.accepted) {
        accepted[usize::try_from(message.index % SESSIONS).unwrap()].insert(message.id);
    }
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        let (base, tokens) = (base.to_owned(), tokens.to_vec());
        readers.spawn(async move {
            let mut inboxes = Vec::new();
            for index in (reader..tokens.len()).step_by(READERS) {
                inboxes.push((index, read_inbox(&base, &tokens[index]).await.unwrap()));
            }
            inboxes
        });
    }
    for (index, inbox) in readers.join_all().await.into_iter().flatten() {
        let messages: HashSet<u128> = inbox.iter().copied().collect();
        assert_eq!(messages.len(), inbox.len(), "a message twice in the inbox of {index}");
        assert_eq!(messages, accepted[index], "the inbox of {index} is not what was accepted");
        crowd.expect(index, inbox);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_sessions_have_exactly_their_inbox_after_two_kills_and_a_restart() {
    raise_open_files(SESSIONS + 1_000).unwrap();
    let scripts = tempfile::tempdir().unwrap();
    let program = with_few_files(scripts.path());
    let mut setting = Setting::start(|options| {
        options.araldo = program;
        options.providers = Vec::new();
    })
    .await;
    let town: Town = setting.service_for(SESSIONS, Mix::InboxOnly).await;
    let tokens: Vec<String> = (0..SESSIONS)
        .map(|index| setting.stage.tokens().of(&town.population.citizen(index)).unwrap())
        .collect();
    let mut times = Vec::new();
    let start = Instant::now();
    let crowd = LiveCrowd::start(setting.stage.base_url(), tokens.clone()).unwrap();
    assert!(crowd.wait_ready(OPEN_LIMIT).await, "{:?}", crowd.report());
    all_are_live(&setting).await;
    times.push(("opened", start.elapsed()));

    let source = town.source();
    let mut sent = Vec::new();
    for (turn, end) in (0..).zip([End::Killed, End::Killed, End::Told]) {
        let range = turn * SESSIONS * EACH..(turn + 1) * SESSIONS * EACH;
        sent.push(go_through(end, &mut setting.stage, &crowd, &source, range).await);
        all_are_live(&setting).await;
        times.push(("went through", start.elapsed()));
    }
    setting.rest(SEEN_LIMIT).await;
    expect_inboxes(&crowd, setting.stage.base_url(), &tokens, &sent).await;
    times.push(("inboxes read", start.elapsed()));
    assert!(crowd.wait_complete(SEEN_LIMIT).await, "{:?}", crowd.report());
    tokio::time::sleep(LINGER).await;
    let report = crowd.report();
    assert!(report.is_exact(), "{report:?}");
    assert_eq!((report.ready, report.ended), (SESSIONS, 0), "{report:?}");
    assert_eq!(report.expected, 3 * EACH * SESSIONS, "{report:?}");
    // Every session came back each time, and went on where it was.
    assert!(report.reconnects >= 3 * SESSIONS, "{report:?}");
    assert_eq!((report.resets, report.lists, report.events), (0, 0, report.expected), "{report:?}");
    setting.assert_conserved().await;
    // Shown with --nocapture.
    #[expect(clippy::print_stderr, reason = "a measurement of the test")]
    let () = eprintln!("{report:?}, {times:?}, {:?}", setting.stage.server_usage());
    drop(crowd);
    setting.stage.shutdown().await.unwrap();
}
