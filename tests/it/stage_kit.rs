//! What the tests of the whole server share: a stage in a folder of its own,
//! the binary as people run it, and a few words of HTTP.
//!
//! A server or simulator that does not come up fails the test: nothing here
//! skips. Everything is on loopback, on free ports, in temporary folders, and
//! ends with the test.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use araldo_loadtest::driver::{DriveReport, DriverOptions, Outgoing, Source, drive};
use araldo_loadtest::population::{Mix, Population};
use araldo_loadtest::simulator::{Behaviour, Failure, Kind};
use araldo_loadtest::stage::{SimLauncher, SimProcess, Stage, StageOptions};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::HeaderValue;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use tokio::time::Instant;

pub use house::House;
pub use person::{Person, Sender, import};
pub use process::{Said, Server, araldo, free_port, run, running_with};

mod house;
mod person;
mod process;

/// The server under test.
pub const ARALDO: &str = env!("CARGO_BIN_EXE_araldo");
/// The service of [`Setting::service`].
pub const SERVICE: &str = "anagrafe";

/// A stage and the folder it lives in.
pub struct Setting {
    pub stage: Stage,
    // Declared after the stage: removed once its children are gone.
    pub folder: TempDir,
}

impl Setting {
    /// Starts simulators and server.
    pub async fn start(change: impl FnOnce(&mut StageOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = StageOptions::new(
            PathBuf::from(ARALDO),
            SimLauncher { program: PathBuf::from(ARALDO), args: vec!["sim".to_owned()] },
            folder.path().join("stage"),
        );
        change(&mut options);
        let stage = Stage::start(options).await.unwrap_or_else(|error| panic!("{error}"));
        Self { stage, folder }
    }

    /// One service with its sender key, and citizens with one device each.
    pub async fn service(&self, citizens: u64) -> Town {
        self.service_for(citizens, Mix::OneDevice).await
    }

    /// The same, with citizens of another kind.
    pub async fn service_for(&self, citizens: u64, mix: Mix) -> Town {
        let key = self.stage.create_service(SERVICE, "Anagrafe").await.unwrap();
        let population = Population::new(7, citizens, mix);
        let report = self.stage.import(&population, |_| {}).await.unwrap();
        assert_eq!((report.imported, report.refused), (citizens, 0), "{:?}", report.reasons);
        Town { key, population }
    }

    /// Tells every simulator the same.
    pub async fn behave(&self, behaviour: &Behaviour) {
        for simulator in self.stage.simulators() {
            simulator.set_behaviour(behaviour).await.unwrap();
        }
    }

    /// Gives every simulator an order.
    pub async fn order(&self, path: &str) {
        for simulator in self.stage.simulators() {
            simulator.order(path).await.unwrap();
        }
    }

    /// Sends `range`, every message accepted.
    pub async fn send(&self, source: &Source, range: std::ops::Range<u64>) -> DriveReport {
        let count = range.end - range.start;
        let report = drive(driver(self.stage.base_url(), range), Arc::clone(source)).await.unwrap();
        assert_eq!(report.accepted.len() as u64, count, "{:?}", report.statuses);
        report
    }

    /// The status once nothing is pending any more.
    pub async fn rest(&self, limit: Duration) -> Value {
        let (at_rest, status) = self.stage.wait_at_rest(limit, |_| {}).await;
        assert!(at_rest, "not at rest after {} s: {status:?}", limit.as_secs());
        status.unwrap()
    }

    /// A GET without a key.
    pub async fn get(&self, path: &str) -> Reply {
        exchange(self.stage.base_url(), Method::GET, path, &[], Bytes::new()).await
    }

    /// A message as its sender sees it.
    pub async fn message(&self, key: &HeaderValue, fiscal_code: &str, id: u128) -> Value {
        let id = araldo_actors::domain::id::MessageId::from_bytes(id.to_be_bytes());
        let path = format!("/api/v1/messages/{fiscal_code}/{id}");
        let key = [("ocp-apim-subscription-key", key.to_str().unwrap())];
        let reply = exchange(self.stage.base_url(), Method::GET, &path, &key, Bytes::new()).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        reply.json()
    }

    /// A gauge of `/metrics`.
    pub async fn gauge(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in /metrics")).trim().parse().unwrap()
    }

    /// Both conservation laws hold, in the gauges and in the status.
    pub async fn assert_conserved(&self) {
        let status = self.stage.status().await.unwrap();
        assert_eq!(status["unaccounted"], json!({"messages": 0, "deliveries": 0}));
        for name in ["araldo_messages_unaccounted", "araldo_deliveries_unaccounted"] {
            assert!(self.gauge(name).await.abs() < 0.5, "{name} is not 0");
        }
    }

    /// Different pushes that providers took, and accepts beyond the first.
    pub async fn pushes(&self) -> (u64, u64) {
        let mut sum = (0, 0);
        let push = |simulator: &&SimProcess| simulator.kind != Kind::Smtp;
        for simulator in self.stage.simulators().iter().filter(push) {
            let books = simulator.books().await.unwrap();
            sum = (sum.0 + books.unique_deliveries, sum.1 + books.duplicates);
        }
        sum
    }

    /// Different mails that the relay took, and those taken again.
    pub async fn mails(&self) -> (u64, u64) {
        let books = self.stage.simulator(Kind::Smtp).unwrap().books().await.unwrap();
        (books.unique_deliveries, books.duplicates)
    }
}

/// A sender and its citizens.
pub struct Town {
    pub key: HeaderValue,
    pub population: Population,
}

impl Town {
    pub fn fiscal_code(&self, index: u64) -> String {
        self.population.citizen(index % self.population.size()).fiscal_code
    }

    /// Message `index` goes to citizen `index`, in turn.
    pub fn source(&self) -> Source {
        let (key, population) = (self.key.clone(), self.population);
        Arc::new(move |index| {
            let to = population.citizen(index % population.size()).fiscal_code;
            Outgoing {
                path: "/api/v1/messages",
                key: key.clone(),
                idempotency_key: HeaderValue::from_str(&format!("test-{index}")).ok(),
                body: Bytes::from(json!({"fiscal_code": to, "content": content()}).to_string()),
            }
        })
    }
}

/// Content within the limits of the contract.
pub fn content() -> Value {
    let markdown = "La rata in scadenza si paga da questo messaggio, in pochi tocchi. ".repeat(2);
    json!({"subject": "Avviso di scadenza", "markdown": markdown})
}

/// Eight connections that keep trying for a minute.
pub fn driver(base: &str, range: std::ops::Range<u64>) -> DriverOptions {
    DriverOptions {
        base: base.to_owned(),
        connections: 8,
        range,
        patience: Duration::from_secs(60),
        on_progress: None,
    }
}

/// A refusal of this share of the first `first_attempts` attempts.
pub fn refusal(reason: &str, retry_after: Option<u32>, first_attempts: Option<u32>) -> Behaviour {
    let failure = Failure {
        reason: reason.to_owned(),
        status: None,
        share: 1.0,
        retry_after_seconds: retry_after,
        first_attempts,
    };
    Behaviour { failures: vec![failure], ..Behaviour::default() }
}

/// Asks every 20 ms until `holds`.
pub async fn until<F: Future<Output = bool>>(what: &str, limit: Duration, holds: impl Fn() -> F) {
    let deadline = Instant::now() + limit;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}: not within {} s", limit.as_secs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An answer.
pub struct Reply {
    pub status: StatusCode,
    pub body: Bytes,
}

impl Reply {
    /// The answer, which must have `status`.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// One request over a connection of its own.
pub async fn exchange(
    base: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Reply {
    let authority = base.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(authority).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let mut request = Request::builder().method(method).uri(path).header("host", authority);
    for (name, value) in headers.iter().copied().chain([("connection", "close")]) {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(body)).unwrap();
    let answered = async {
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        Reply { status: parts.status, body: body.collect().await.unwrap().to_bytes() }
    };
    tokio::join!(answered, connection).0
}
