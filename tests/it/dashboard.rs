//! The dashboard, against a real Prometheus that scraped a real run: every
//! expression of every panel answers, with the labels that the panel names,
//! and with the values that the run determines.
//!
//! Expressions are read from the dashboard's own file. What a panel shows is
//! looked at as Grafana draws it: over the whole run, at each scrape.

use std::collections::BTreeSet;
use std::time::Duration;

use araldo_loadtest::simulator::Kind;

use crate::stage_kit::until;
use file::{Dashboard, label_values};
use prometheus::{Prometheus, Series};
use scene::{CITIZENS, Scene};

pub mod file;
pub mod prometheus;
mod scene;

/// `$__rate_interval` and `$__range` as they are here.
const RATE: &str = "2s";
const RANGE: &str = "10m";
/// Prometheus has seen the end of the run within this time.
const SEEN: Duration = Duration::from_secs(15);
/// Labels there are: none names a message, an alert or a person.
const LABELS: [&str; 18] = [
    "__name__", "actor", "answer", "channel", "instance", "job", "kind", "lane", "le", "method",
    "outcome", "reason", "result", "route", "state", "status", "walk", "quantile",
];
const WALKS: [&str; 4] = ["inbox", "apple", "google", "relay"];
const ROUTES: [&str; 3] = ["apple", "google", "relay"];

/// A run that is over, and what Prometheus kept of it.
struct Watched {
    scene: Scene,
    prometheus: Prometheus,
    dashboard: Dashboard,
    /// From when to when, in seconds since the epoch.
    span: (f64, f64),
}

impl Watched {
    /// The run, and how many personal messages and entries of alerts it put
    /// into inboxes.
    async fn run() -> (Self, u64) {
        let scene = Scene::set().await;
        let target = scene.setting.stage.base_url().strip_prefix("http://").unwrap().to_owned();
        let prometheus = Prometheus::start(&target).await;
        let up = "up{job=\"araldo\"}";
        until("the first scrape", SEEN, || async { prometheus.sum(up).await > 0.0 }).await;
        let start = prometheus.clock().await;
        let region = scene.open().await;
        catch_up(&prometheus).await;
        let emergencies = scene.play().await;
        catch_up(&prometheus).await;
        let span = (start, prometheus.clock().await);
        let dashboard = Dashboard::read("alert.json", RATE, RANGE);
        (Self { scene, prometheus, dashboard, span }, region + CITIZENS + emergencies)
    }

    /// What a panel drew over the run, all its questions together.
    async fn panel(&self, title: &str) -> Vec<Series> {
        let mut drawn = Vec::new();
        for query in self.dashboard.of(title) {
            let (start, end) = self.span;
            drawn.extend(self.prometheus.between(&query.expr, start, end).await);
        }
        drawn
    }

    /// The same, by one label; each of `expected` is there.
    async fn by(&self, title: &str, label: &str, expected: &[&str]) -> Vec<Series> {
        let drawn = self.panel(title).await;
        let seen: BTreeSet<_> = drawn.iter().map(|series| series.label(label)).collect();
        let missing: Vec<_> = expected.iter().filter(|value| !seen.contains(**value)).collect();
        assert!(missing.is_empty(), "{title}: no {label} {missing:?}, only {seen:?}");
        drawn
    }

    /// The highest value of the series with this label's value.
    async fn peak(&self, title: &str, label: &str, value: &str) -> f64 {
        let drawn = self.by(title, label, &[value]).await;
        let mine = drawn.iter().filter(|series| series.label(label) == value);
        mine.map(Series::max).fold(f64::NEG_INFINITY, f64::max)
    }

    async fn every_question_has_an_answer(&self) {
        for query in &self.dashboard.queries {
            let (start, end) = self.span;
            let drawn = self.prometheus.between(&query.expr, start, end).await;
            assert!(!drawn.is_empty(), "{}: nothing for {}", query.panel, query.expr);
            for label in &query.legend {
                let named = drawn.iter().all(|series| !series.label(label).is_empty());
                assert!(named, "{}: no label {label}: {}", query.panel, query.expr);
            }
        }
        for variable in &self.dashboard.variables {
            let (selector, label) = label_values(variable);
            let values = self.prometheus.label_values(selector, label).await;
            assert!(!values.is_empty(), "nothing for {variable}");
        }
    }

    /// How far, how fast and what is under way.
    async fn the_alert_shows(&self) {
        assert!(self.peak("Alerts under way", "status", "running").await >= 1.0);
        assert!(self.peak("Alerts under way", "status", "paused").await >= 1.0);
        let age = self.panel("Oldest alert: accepted ago").await;
        assert!(age[0].max() > 3.0 && age[0].last() < 1e-9, "{age:?}");
        for series in self.by("How far, by walk", "walk", &WALKS).await {
            assert!((0.0..=1.0).contains(&series.max()), "{series:?}");
        }
        let inbox = self.peak("How far, by walk", "walk", "inbox").await;
        assert!((inbox - 1.0).abs() < 1e-9, "the inbox walk arrives long before the mails");
        let left = self.by("Time left at this pace, by walk", "walk", &["relay"]).await;
        let relay = left.iter().find(|series| series.label("walk") == "relay").unwrap();
        assert!(relay.max() > 604_799.0, "a paused walk stands still: {relay:?}");
        assert!(relay.values.iter().any(|seconds| *seconds < 600.0), "and then goes on: {relay:?}");
        for walk in WALKS {
            assert!(self.peak("Delivered per second, by walk", "walk", walk).await > 1.0);
        }
        let outcomes = ["delivered", "failed", "expired", "cancelled", "suppressed"];
        let title = "Pushes and mails of alerts ended per second, by outcome";
        self.by(title, "outcome", &outcomes).await;
        assert!(self.peak(title, "outcome", "failed").await > 0.0);
    }

    /// What is refused, repeated and waiting.
    async fn the_troubles_show(&self) {
        let again = "To be tried again per second, by route and reason";
        self.by(again, "reason", &["TooManyRequests", "QUOTA_EXCEEDED", "mailbox full (x.2.2)"])
            .await;
        let lost = "Refused for good per second, by route and reason";
        let gone = ["Unregistered", "UNREGISTERED", "no such mailbox (x.1.1)"];
        self.by(lost, "reason", &gone).await;
        for title in [again, lost] {
            self.by(title, "route", &ROUTES).await;
        }
        let routes = "Routes";
        for series in self.by(routes, "route", &ROUTES).await {
            assert!((series.last() - 1.0).abs() < 1e-9, "up in the end: {series:?}");
        }
        assert!((self.peak(routes, "route", "google").await - 2.0).abs() < 1e-9, "paused");
        assert!(self.panel("Routes not up").await[0].max() >= 1.0);
        let queue = "Oldest in the queue, by route and lane";
        self.by(queue, "lane", &["emergency", "bulk"]).await;
        assert!(self.peak(queue, "route", "relay").await > 0.0);
        let air = self.by("In the air and waiting", "walk", &ROUTES).await;
        assert!(air.iter().filter(|series| series.max() > 0.0).count() > 3, "{air:?}");
        assert!(air.iter().all(|series| series.last() < 1e-9), "nothing in the end: {air:?}");
    }

    /// What the run determines to the last one.
    async fn the_counts_are_the_simulators(&self, inboxes: u64) {
        let expr = &self.dashboard.of("Ended in the time shown, by channel")[0].expr;
        let ended = self.prometheus.now(expr).await;
        let delivered = |channel: &str| {
            let mut mine = ended.iter().filter(|series| series.label("channel") == channel);
            mine.find(|series| series.label("outcome") == "delivered").map_or(0.0, Series::last)
        };
        let (pushes, push_repeats) = self.scene.setting.pushes().await;
        let (mails, mail_repeats) = self.scene.setting.mails().await;
        assert_eq!((push_repeats, mail_repeats), (0, 0), "nothing broke off");
        same("pushes", delivered("push"), pushes);
        same("mails", delivered("email"), mails);
        same("inboxes", delivered("in_app"), inboxes);
        for (kind, reason) in [
            (Kind::Apns, "TooManyRequests"),
            (Kind::Apns, "Unregistered"),
            (Kind::Fcm, "QUOTA_EXCEEDED"),
            (Kind::Fcm, "UNREGISTERED"),
        ] {
            let simulator = self.scene.setting.stage.simulator(kind).unwrap();
            let refused = simulator.books().await.unwrap().refused_by_reason[reason];
            let expr = format!("araldo_provider_refusals_total{{reason=\"{reason}\"}}");
            same(reason, self.prometheus.sum(&expr).await, refused);
        }
    }

    /// The server beside it, and the rules of its metrics.
    async fn the_server_shows(&self) {
        assert!((self.panel("Server").await[0].last() - 1.0).abs() < 1e-9);
        for series in self.panel("Unaccounted for").await {
            assert!(series.last().abs() < 1e-9, "{series:?}");
        }
        self.scene.setting.assert_conserved().await;
        self.by("Personal messages: slowest in a hundred, by lane", "lane", &["emergency"]).await;
        let p99 = self.panel("Emergencies: slowest in a hundred").await[0].max();
        assert!((1e-4..30.0).contains(&p99), "{p99}");
        let memory = self.panel("Memory").await[0].max();
        assert!((1e7..2e9).contains(&memory), "{memory}");
        let cores = self.panel("CPU, cores in use").await[0].max();
        assert!((0.01..64.0).contains(&cores), "{cores}");
        // Not what Prometheus makes of a rule that holds for a moment.
        let ours = "{job=\"araldo\",__name__!~\"ALERTS.*\"}";
        let labels = self.prometheus.labels(ours).await;
        let strange: Vec<_> = labels.iter().filter(|one| !LABELS.contains(&one.as_str())).collect();
        assert!(strange.is_empty(), "{strange:?}");
        let series = self.prometheus.sum(&format!("count({ours})")).await;
        assert!(series < 2_000.0, "{series} series");
    }
}

/// Until all that has happened is in what it scraped.
async fn catch_up(prometheus: &Prometheus) {
    let now = prometheus.clock().await;
    let seen = || async { prometheus.sum("min(timestamp(up))").await > now + 1.0 };
    until("a scrape", SEEN, seen).await;
}

fn same(what: &str, shown: f64, counted: u64) {
    assert!((shown - counted as f64).abs() < 1e-9, "{what}: {shown} shown, {counted} counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_answers_of_an_alert_in_trouble() {
    let (watched, inboxes) = Watched::run().await;
    watched.every_question_has_an_answer().await;
    watched.the_alert_shows().await;
    watched.the_troubles_show().await;
    watched.the_counts_are_the_simulators(inboxes).await;
    watched.the_server_shows().await;
    watched.prometheus.end().await;
}

#[tokio::test]
async fn the_configuration_is_what_promtool_takes() {
    prometheus::check(&file::path("prometheus.yml")).await;
}

#[tokio::test]
async fn every_alert_of_a_cluster_fires_when_it_should_and_not_before() {
    prometheus::test_rules().await;
}
