//! What the tests of alerts on the whole server share: residents whose homes,
//! devices and addresses are known beforehand, a service that may alert them,
//! and the judge.

use std::sync::LazyLock;
use std::time::Duration;

use araldo_loadtest::population::{Citizen, Mix, Municipality, Population, places};
use araldo_loadtest::simulator::{Kind, Record};
use araldo_loadtest::stage::Stage;
use bytes::Bytes;
use hyper::Method;
use hyper::header::HeaderValue;
use serde_json::{Value, json};

use crate::stage_kit::{Reply, Setting, exchange, until};

pub use judge::{Reached, judge, records};

mod judge;

/// Sends the alerts.
pub const SERVICE: &str = "protezione-civile";
/// The routes of a stage, in the order of their providers.
pub const ROUTES: [(&str, Kind); 3] =
    [("apple", Kind::Apns), ("google", Kind::Fcm), ("relay", Kind::Smtp)];
/// Bytes of one request of an import; the API takes up to 8 MiB.
const CHUNK: usize = 4 << 20;

/// Citizens drawn from a seed, each changed by a rule of the test's own.
#[derive(Clone, Copy)]
pub struct Residents {
    pub population: Population,
    pub change: fn(u64, &mut Citizen),
}

impl Residents {
    /// Who takes everything: everybody has a device, Apple's and Google's in
    /// turn, and every tenth an address, too; everybody lives at `home`.
    pub fn plain(seed: u64, count: u64) -> Self {
        Self { population: Population::new(seed, count, Mix::DeviceAndMail), change: plain }
    }

    pub fn size(&self) -> u64 {
        self.population.size()
    }

    pub fn citizen(&self, index: u64) -> Citizen {
        let mut citizen = self.population.citizen(index);
        (self.change)(index, &mut citizen);
        citizen
    }

    /// Registers a range of them, in their order; returns how many are new.
    pub async fn register(&self, stage: &Stage, range: std::ops::Range<u64>) -> u64 {
        self.register_and(stage, range, |_| {}).await
    }

    /// The same, with a look at each.
    pub async fn register_and(
        &self,
        stage: &Stage,
        range: std::ops::Range<u64>,
        mut look: impl FnMut(&Citizen),
    ) -> u64 {
        let mut new = 0;
        let mut chunk = Vec::new();
        for index in range {
            let citizen = self.citizen(index);
            look(&citizen);
            chunk.extend_from_slice(citizen.line().as_bytes());
            chunk.push(b'\n');
            if chunk.len() >= CHUNK {
                new += import(stage, std::mem::take(&mut chunk)).await;
            }
        }
        new + import(stage, chunk).await
    }
}

/// Registers or renews these citizens; returns how many are new.
pub async fn renew(stage: &Stage, citizens: &[Citizen]) -> u64 {
    let lines: String = citizens.iter().map(|citizen| citizen.line() + "\n").collect();
    import(stage, lines.into_bytes()).await
}

async fn import(stage: &Stage, lines: Vec<u8>) -> u64 {
    let path = "/api/operator/v1/citizens";
    let kind = Some("application/x-ndjson");
    let sent = stage.operator().unwrap().send(Method::POST, path, kind, lines.into()).await;
    let answer: Value = serde_json::from_slice(&sent.unwrap()).unwrap();
    assert_eq!(answer["refused"], 0, "{answer}");
    answer["imported"].as_u64().unwrap()
}

fn plain(index: u64, citizen: &mut Citizen) {
    citizen.devices.truncate(1);
    let device = &mut citizen.devices[0];
    (device.platform, device.token) = token(index);
    if index % 10 != 7 {
        (citizen.email, citizen.email_validated) = (None, false);
    }
    citizen.municipality = home();
}

/// A token nobody else has: Apple's for even numbers, Google's for odd ones.
fn token(index: u64) -> (&'static str, String) {
    if index % 2 == 0 {
        ("apns", format!("{index:064x}"))
    } else {
        ("fcm", format!("{index:022}:APA91b{}", "f".repeat(123)))
    }
}

/// Where the audience of [`at_home`] lives: Milan.
const HOME_CODE: &str = "015146";
static HOME: LazyLock<usize> = LazyLock::new(|| place(HOME_CODE));
static ELSEWHERE: LazyLock<usize> = LazyLock::new(|| place("058091"));

/// Position of where the audience of [`at_home`] lives.
pub fn home() -> usize {
    *HOME
}

/// Position of a municipality elsewhere: Rome.
pub fn elsewhere() -> usize {
    *ELSEWHERE
}

fn place(code: &str) -> usize {
    places().all().iter().position(|one| one.istat_code == code).unwrap()
}

pub fn municipality(citizen: &Citizen) -> &'static Municipality {
    &places().all()[citizen.municipality]
}

/// An alert within the limits of the API.
pub fn alert(audience: Value) -> Value {
    let text = |subject: &str, line: &str| json!({"subject": subject, "markdown": line.repeat(3)});
    json!({
        "texts": {
            "it_IT": text("Allerta meteo rossa", "Restate in casa e seguite le indicazioni. "),
            "en_GB": text("Red weather alert", "Stay at home and follow the instructions. "),
        },
        "audience": audience,
    })
}

/// To everybody.
pub fn to_everyone() -> Value {
    alert(json!({"everyone": true}))
}

/// To who lives at `home`.
pub fn at_home() -> Value {
    alert(json!({"areas": [HOME_CODE]}))
}

/// Who may send alerts, and messages, for [`SERVICE`].
#[derive(Clone)]
pub struct Herald {
    base: String,
    pub key: HeaderValue,
}

impl Herald {
    /// Registers the service.
    pub async fn of(stage: &Stage) -> Self {
        Self::named(stage, SERVICE, "bulk").await
    }

    /// Registers a service whose messages go in this lane.
    pub async fn named(stage: &Stage, service: &str, lane: &str) -> Self {
        let key = stage.create_service(service, "Protezione civile").await.unwrap();
        let path = format!("/api/operator/v1/services/{service}");
        let mut operator = stage.operator().unwrap();
        let document = json!({"name": "Protezione civile", "lane": lane,
            "organization_fiscal_code": "97000000007",
            "groups": ["ApiAlertWrite", "ApiMessageWrite", "ApiMessageRead"]});
        operator.put(&path, &document).await.unwrap();
        Self { base: stage.base_url().to_owned(), key }
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Reply {
        let key = [("ocp-apim-subscription-key", self.key.to_str().unwrap())];
        exchange(&self.base, method, path, &key, body).await
    }

    /// Sends an alert; returns its id.
    pub async fn send(&self, alert: &Value) -> String {
        let body = Bytes::from(alert.to_string());
        let sent = self.ask(Method::POST, "/api/v1/alerts", body).await.expect(201).json();
        sent["id"].as_str().unwrap().to_owned()
    }

    /// An alert, with its progress.
    pub async fn alert(&self, id: &str) -> Value {
        let path = format!("/api/v1/alerts/{id}");
        self.ask(Method::GET, &path, Bytes::new()).await.expect(200).json()
    }

    pub async fn status(&self, id: &str) -> String {
        self.alert(id).await["status"].as_str().unwrap().to_owned()
    }

    /// One walk of an alert.
    pub async fn walk(&self, id: &str, name: &str) -> Value {
        walk(&self.alert(id).await, name).clone()
    }

    /// Pauses, resumes or cancels.
    pub async fn order(&self, id: &str, order: &str) -> Reply {
        self.ask(Method::POST, &format!("/api/v1/alerts/{id}/{order}"), Bytes::new()).await
    }

    /// Waits until the alert ends; it must end so.
    pub async fn ended(&self, id: &str, status: &str, limit: Duration) -> Value {
        until("the alert ends", limit, || async {
            let now = self.status(id).await;
            assert!(now == status || ["running", "paused"].contains(&now.as_str()), "{now}");
            now == status
        })
        .await;
        self.alert(id).await
    }
}

/// One walk in an alert's view.
pub fn walk<'a>(view: &'a Value, name: &str) -> &'a Value {
    let walks = view["progress"]["walks"].as_array().unwrap();
    walks.iter().find(|one| one["walk"] == name).unwrap_or_else(|| panic!("no {name}: {view}"))
}

pub fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("no number {field}: {value}"))
}

/// Different deliveries that all providers took so far. Asks the simulators
/// only: the server may be away.
pub async fn taken(setting: &Setting) -> u64 {
    setting.pushes().await.0 + setting.mails().await.0
}

/// Attempts that all providers received so far.
pub async fn requests(setting: &Setting) -> u64 {
    let mut sum = 0;
    for simulator in setting.stage.simulators() {
        sum += simulator.books().await.unwrap().requests;
    }
    sum
}

/// Waits for what had left before: two looks in a row find the same number of
/// attempts. Returns it.
pub async fn settled(setting: &Setting) -> u64 {
    let limit = tokio::time::Instant::now() + Duration::from_secs(10);
    let mut last = requests(setting).await;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = requests(setting).await;
        if now == last {
            return now;
        }
        assert!(tokio::time::Instant::now() < limit, "attempts go on: {last}, {now}");
        last = now;
    }
}

/// What the records of one simulator name a device or an address by.
pub fn mark(token_or_address: &str) -> u64 {
    araldo_loadtest::simulator::mix::hash_bytes(token_or_address.as_bytes())
}

/// The record of the push to the citizen's one device; none when there is
/// none.
pub fn push_to<'a>(records: &'a [Record], citizen: &Citizen) -> Option<&'a Record> {
    let device = mark(&citizen.devices[0].token);
    records.iter().find(|record| record.device == device)
}
