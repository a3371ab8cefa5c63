//! `rate_per_second` from the configuration to the provider: as fast as it
//! says, over real connections.

use std::time::Duration;

use araldo_loadtest::simulator::Kind;

use crate::stage_kit::Setting;

const RATE: u64 = 200;
/// Each has one device; about half of them one that this route reaches.
const CITIZENS: u64 = 2_400;
const LIMIT: Duration = Duration::from_secs(60);

/// When pushes were accepted, in microseconds, in order.
async fn accepted_at(setting: &Setting) -> Vec<u64> {
    let mut at: Vec<u64> =
        setting.stage.records().await.unwrap().iter().map(|one| one.first_accept_us).collect();
    at.sort_unstable();
    at
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_delivers_at_its_rate() {
    let setting = Setting::start(|options| {
        options.providers = vec![Kind::Apns];
        options.extra_config = format!("[route_kind.apns]\nrate_per_second = {RATE}\n");
    })
    .await;
    let town = setting.service(CITIZENS).await;
    setting.send(&town.source(), 0..CITIZENS).await;
    setting.rest(LIMIT).await;
    let at = accepted_at(&setting).await;
    let count = at.len() as u64;
    assert!(count > CITIZENS / 3, "{count} pushes");
    // Never faster: what is in the bucket, in the purse and in a late answer.
    let fastest = at.windows(RATE as usize * 2).map(|run| run[run.len() - 1] - run[0]).min();
    let fastest = Duration::from_micros(fastest.unwrap());
    assert!(fastest >= Duration::from_millis(1_600), "two seconds' worth in {fastest:?}");
    // Nor much slower, however busy the machine is.
    let took = Duration::from_micros(at[at.len() - 1] - at[0]);
    let ideal = Duration::from_millis(count * 1_000 / RATE);
    let range = ideal * 9 / 10..=ideal * 2;
    assert!(range.contains(&took), "{count} at {RATE} a second took {took:?}");
    setting.assert_conserved().await;
}
