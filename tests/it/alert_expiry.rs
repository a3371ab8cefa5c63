//! An alert whose time is over ends as `expired`: while a provider is away,
//! while it is paused, while the server is down. The API gives an alert a
//! minute at least, so this test waits for one.

use std::time::Duration;

use araldo_loadtest::simulator::Behaviour;
use serde_json::{Value, json};

use crate::alert_kit::{Herald, alert, walk};
use crate::alert_town::{ROUTES, Residents, Town, at_home, everyone, number, records, settled};
use crate::stage_kit::until;

const LIMIT: Duration = Duration::from_secs(30);
/// Shortest time the API gives, and what a request may take.
const SHORTEST: jiff::SignedDuration = jiff::SignedDuration::from_secs(62);

/// Sends an alert that lasts as short as it can; returns its id and its end.
async fn send(herald: &Herald, audience: Value) -> (String, jiff::Timestamp) {
    let end = jiff::Timestamp::now() + SHORTEST;
    let mut short = alert(audience);
    short["expires_at"] = json!(end.to_string());
    let sent = herald.post(&short, None).await.expect(201).json();
    (sent["id"].as_str().unwrap().to_owned(), end)
}

async fn sleep_until(end: jiff::Timestamp) {
    let left = Duration::try_from(end.duration_since(jiff::Timestamp::now()));
    tokio::time::sleep(left.unwrap_or_default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_ends_with_its_time_wherever_it_stands() {
    let residents = Residents::plain(31, 1_000);
    let mut town = Town::start(residents, 2, &Behaviour::default()).await;
    let away = Behaviour { refuse_connections: true, ..Behaviour::default() };
    town.tell("google", &away).await;
    let (standing, end) = send(&town.herald, at_home()).await;
    let (paused, _) = send(&town.herald, everyone()).await;
    town.herald.change(&paused, "pause").await.expect(200);
    // It ends while the server is down.
    let (missed, last) = send(&town.herald, at_home()).await;
    town.herald.change(&missed, "pause").await.expect(200);
    until("the others are over", LIMIT, || async {
        let view = town.herald.view(&standing).await;
        let over = |name: &str| walk(&view, name)["visited"] == 1_000;
        over("inbox") && over("apple") && over("relay")
    })
    .await;
    let base = settled(&town.setting).await;
    sleep_until(end - jiff::SignedDuration::from_secs(2)).await;
    for (id, status) in [(&standing, "running"), (&paused, "paused"), (&missed, "paused")] {
        assert_eq!(town.herald.status(id).await, status, "{id}");
    }
    sleep_until(end).await;
    town.herald.ends_within(&standing, "expired", LIMIT).await;
    town.herald.ends_within(&paused, "expired", LIMIT).await;
    town.setting.stage.kill_server().await.unwrap();
    // Google is back: too late.
    town.tell("google", &Behaviour::default()).await;
    sleep_until(last).await;
    town.setting.stage.restart_server().await.unwrap();
    town.herald.ends_within(&missed, "expired", LIMIT).await;
    assert_ended(&town, [&standing, &paused, &missed]).await;
    assert_eq!(settled(&town.setting).await, base, "an attempt started");
    town.setting.stage.shutdown().await.unwrap();
}

/// What was taken is delivered in the books, the rest has expired.
async fn assert_ended(town: &Town, ids: [&String; 3]) {
    let status = town.setting.rest(LIMIT).await;
    let mut expired = 0;
    for id in ids {
        let view = town.herald.view(id).await;
        for (route, _) in ROUTES {
            let taken = records(&town.setting, route, id).await.len() as u64;
            let walks = view["progress"]["walks"].as_array().unwrap();
            let Some(walk) = walks.iter().find(|walk| walk["walk"] == route) else {
                assert_eq!(taken, 0, "no walk: {view}");
                continue;
            };
            assert_eq!((number(walk, "delivered"), number(walk, "pending")), (taken, 0), "{view}");
            expired += number(walk, "expired");
        }
    }
    assert!(expired > 0, "what waited for Google has expired: {status}");
    assert_eq!(number(&status["deliveries"], "expired"), expired, "{status}");
    assert_eq!(records(&town.setting, "google", ids[0]).await.len(), 0);
    town.setting.assert_conserved().await;
}
