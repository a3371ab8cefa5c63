//! A town whose residents' homes, devices and addresses are known beforehand,
//! who may alert them, and the judge of whom an alert reached.

use std::sync::LazyLock;
use std::time::Duration;

use araldo_loadtest::population::{Citizen, Mix, Municipality, Population, places};
use araldo_loadtest::simulator::{Behaviour, Kind};
use araldo_loadtest::stage::{SimProcess, Stage, StageOptions};
use hyper::Method;
use serde_json::{Value, json};

use crate::alert_kit::Herald;
use crate::stage_kit::{Person, Setting};

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
    /// turn, and every tenth (of Google's) an address, too. They live at
    /// [`home`], but for every twentieth (of Google's), who lives
    /// [`elsewhere`].
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
    if !has_address(index) {
        (citizen.email, citizen.email_validated) = (None, false);
    }
    citizen.municipality = if lives_elsewhere(index) { elsewhere() } else { home() };
}

/// Whether this one of the plain residents does.
pub const fn lives_elsewhere(index: u64) -> bool {
    index % 20 == 3
}

/// Whether this one of the plain residents has an address.
pub const fn has_address(index: u64) -> bool {
    index % 10 == 7
}

/// A token nobody else has: Apple's for even numbers, Google's for odd ones.
fn token(index: u64) -> (&'static str, String) {
    if index.is_multiple_of(2) {
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

/// A stage with residents and who may alert them.
pub struct Town {
    pub setting: Setting,
    pub herald: Herald,
    pub residents: Residents,
}

impl Town {
    /// Registers all residents. Retries come soon, and a request to be erased
    /// is executed at once.
    pub async fn start(residents: Residents, partitions: u16, behaviour: &Behaviour) -> Self {
        Self::with(residents, partitions, |options| options.behaviour = behaviour.clone()).await
    }

    /// The same, on a stage of another kind.
    pub async fn with(
        residents: Residents,
        partitions: u16,
        change: impl FnOnce(&mut StageOptions),
    ) -> Self {
        let setting = Setting::start(|options| {
            options.retry_base_ms = Some(100);
            options.extra_config = format!(
                "[retention]\ndeletion_grace_hours = 0\n[engine]\npartitions = {partitions}\n"
            );
            change(options);
        })
        .await;
        let herald = Herald::of(&setting.stage, SERVICE).await;
        let count = residents.size();
        assert_eq!(residents.register(&setting.stage, 0..count).await, count);
        Self { setting, herald, residents }
    }

    /// The simulator behind a route.
    pub fn provider(&self, route: &str) -> &SimProcess {
        let kind = ROUTES.iter().find(|(name, _)| *name == route).unwrap().1;
        self.setting.stage.simulator(kind).unwrap()
    }

    /// Tells the provider of a route something else; with its connections
    /// gone if it refuses new ones.
    pub async fn tell(&self, route: &str, behaviour: &Behaviour) {
        let provider = self.provider(route);
        provider.set_behaviour(behaviour).await.unwrap();
        if behaviour.refuse_connections {
            provider.order("/disconnect").await.unwrap();
        }
    }

    /// Whom an alert to who lives at home must reach, when all are as they
    /// were registered.
    pub fn reached(&self) -> Reached {
        let mut reached = Reached::default();
        for index in 0..self.residents.size() {
            let citizen = self.residents.citizen(index);
            reached.add(&citizen, citizen.municipality == home());
        }
        reached
    }

    /// A resident with a token for the citizen API.
    pub fn person(&self, index: u64) -> Person {
        Person::of(&self.setting.stage, &self.residents.citizen(index).fiscal_code)
    }
}

/// Everybody, as an audience.
pub fn everyone() -> Value {
    json!({"everyone": true})
}

/// Who lives at [`home`], as an audience.
pub fn at_home() -> Value {
    json!({"areas": [HOME_CODE]})
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

/// Sets a citizen's switches for [`SERVICE`].
pub async fn switch(person: &Person, inbox: bool, email: bool, push: bool) {
    let path = format!("/api/identity/v1/services/{SERVICE}/preferences");
    let version = person.get(&path).await["settings_version"].clone();
    let switches = json!({"is_inbox_enabled": inbox, "is_email_enabled": email,
        "is_webhook_enabled": push, "settings_version": version});
    person.post(&path, switches).await;
}

/// Has a citizen erased; all is done when this returns.
pub async fn erase(person: &Person) {
    let path = "/api/identity/v1/user-data-processing";
    let done = person.post(path, json!({"choice": "DELETE"})).await;
    assert_eq!(done["status"], "CLOSED", "{done}");
    assert_eq!(person.get("/api/identity/v1/profile").await["has_profile"], false);
}
