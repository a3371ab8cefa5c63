//! A real Prometheus that scrapes one server with the repository's own
//! configuration, more often, into a folder that goes with it.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::file;
use crate::stage_kit::{exchange, free_port};

/// How often it scrapes here.
pub const INTERVAL: &str = "500ms";
/// It is up within this time.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A line of a graph.
#[derive(Debug)]
pub struct Series {
    pub labels: BTreeMap<String, String>,
    /// Only numbers, in the order of time: what Grafana would draw.
    pub values: Vec<f64>,
}

impl Series {
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    pub fn last(&self) -> f64 {
        *self.values.last().unwrap()
    }

    pub fn max(&self) -> f64 {
        self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// See the module's text. Killed when dropped.
pub struct Prometheus {
    process: Child,
    base: String,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes `target`: an address with a port, or several with
    /// `", "` between them.
    pub async fn start(target: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (config, log) = (folder.path().join("prometheus.yml"), folder.path().join("log"));
        std::fs::write(&config, configuration(target)).unwrap();
        check(&config).await;
        let address = format!("127.0.0.1:{}", free_port());
        let log_file = std::fs::File::create(&log).unwrap();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log_file)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{error}: is Prometheus installed (`make setup`)?"));
        let base = format!("http://{address}");
        let mut running = Self { process, base, _folder: folder };
        let deadline = Instant::now() + START_LIMIT;
        while !running.is_ready(&address).await {
            let ended = running.process.try_wait().unwrap();
            let said = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < deadline, "{ended:?}: {}", said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        running
    }

    async fn is_ready(&self, address: &str) -> bool {
        TcpStream::connect(address).await.is_ok()
            && self.get("/-/ready", &[]).await.status.is_success()
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> crate::stage_kit::Reply {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let path = format!("{path}?{query}");
        exchange(&self.base, Method::GET, &path, &[], Bytes::new()).await
    }

    async fn ask(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let reply = self.get(path, query).await;
        assert!(reply.status.is_success(), "{query:?}: {}", reply.text());
        reply.json()["data"].take()
    }

    /// What an expression gives now.
    pub async fn now(&self, expr: &str) -> Vec<Series> {
        series(&self.ask("/api/v1/query", &[("query", expr)]).await, "value")
    }

    /// The sum of what an expression gives now.
    pub async fn sum(&self, expr: &str) -> f64 {
        self.now(expr).await.iter().map(Series::last).sum()
    }

    /// What an expression gives between two times, in seconds since the
    /// epoch, at each scrape.
    pub async fn between(&self, expr: &str, start: f64, end: f64) -> Vec<Series> {
        let (start, end) = (start.to_string(), end.to_string());
        let query = [("query", expr), ("start", &start), ("end", &end), ("step", INTERVAL)];
        series(&self.ask("/api/v1/query_range", &query).await, "values")
    }

    /// Its own clock, in seconds since the epoch.
    pub async fn clock(&self) -> f64 {
        let now = self.ask("/api/v1/query", &[("query", "time()")]).await;
        number(&now["result"])
    }

    /// Values of a label among the series of a selector.
    pub async fn label_values(&self, selector: &str, label: &str) -> Vec<String> {
        let path = format!("/api/v1/label/{label}/values");
        words(&self.ask(&path, &[("match[]", selector)]).await)
    }

    /// Labels of the series of a selector.
    pub async fn labels(&self, selector: &str) -> Vec<String> {
        words(&self.ask("/api/v1/labels", &[("match[]", selector)]).await)
    }

    /// Kills it and waits for its end.
    pub async fn end(mut self) {
        self.process.kill().await.unwrap();
    }
}

/// The repository's configuration, with another target and interval.
fn configuration(target: &str) -> String {
    let mut text = std::fs::read_to_string(file::path("prometheus.yml")).unwrap();
    let rules = file::path("rules.yml").display().to_string();
    let changes = [
        ("[\"127.0.0.1:8080\"]", format!("[\"{target}\"]")),
        ("[\"rules.yml\"]", format!("[\"{rules}\"]")),
        ("scrape_interval: 5s", format!("scrape_interval: {INTERVAL}")),
        ("scrape_timeout: 4s", format!("scrape_timeout: {INTERVAL}")),
        ("evaluation_interval: 5s", format!("evaluation_interval: {INTERVAL}")),
    ];
    for (from, to) in changes {
        assert_eq!(text.matches(from).count(), 1, "`{from}` in prometheus.yml");
        text = text.replace(from, &to);
    }
    text
}

/// promtool finds nothing wrong with a configuration, its rules included.
pub async fn check(config: &std::path::Path) {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "config", "--lint=all", "--lint-fatal"]).arg(config);
    let said = promtool.stdin(Stdio::null()).output().await;
    let said = said.unwrap_or_else(|error| panic!("{error}: is Prometheus installed?"));
    let text = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{text}");
}

/// The alerts fire, and do not, as their tests say.
pub async fn test_rules() {
    let tests =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/dashboard/rules_test.yml");
    let mut promtool = Command::new("promtool");
    promtool.args(["test", "rules"]).arg(tests).stdin(Stdio::null());
    let said = promtool.output().await;
    let said = said.unwrap_or_else(|error| panic!("{error}: is Prometheus installed?"));
    let text = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{text}");
}

/// The series of an answer that have a number; `field` is where it has them.
fn series(data: &Value, field: &str) -> Vec<Series> {
    let all = data["result"].as_array().unwrap().iter().map(|one| {
        let labels = one["metric"].as_object().unwrap();
        let samples = match &one[field] {
            Value::Array(list) if list[0].is_array() => list.iter().map(number).collect(),
            single => vec![number(single)],
        };
        Series {
            labels: labels
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect(),
            values: samples.into_iter().filter(|value: &f64| value.is_finite()).collect(),
        }
    });
    all.filter(|one| !one.values.is_empty()).collect()
}

/// The number of a sample: `[time, "number"]`.
fn number(sample: &Value) -> f64 {
    sample[1].as_str().unwrap().parse().unwrap()
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}
