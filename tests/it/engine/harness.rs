//! The engine over the reference store, a scripted provider, a paused clock
//! and a seeded rng: every timer exact, every answer chosen by the test.

use araldo::store::memory::MemoryStore;
use araldo_actors::domain::answer::Answer;
use araldo_actors::domain::books::Books;
use araldo_actors::domain::citizen::{Citizen, Device, Platform};
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{DeliveryId, MessageId, OrganizationId, RouteId, ServiceId};
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::message::{Content, FeatureLevel};
use araldo_actors::domain::service::{Organization, Service, ServiceCategory};
use araldo_actors::domain::time::Millis;
use araldo_actors::engine::Submission;
use araldo_actors::pipeline::{self, EngineOptions, PartitionLimits, Ports, RouteOptions, Running};
use araldo_actors::policy::admission::AdmissionLimits;
use araldo_actors::policy::backoff::RetryPolicy;
use araldo_actors::policy::breaker::BreakerLimits;
use araldo_actors::policy::restart::Intensity;
use araldo_actors::port::clock::Clock;
use araldo_actors::port::provider::{ConnectError, Connector, Link, Push};
use araldo_actors::port::rng::Rng;
use async_trait::async_trait;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

pub const START: u64 = 1_700_000_000_000;

/// tokio's paused clock as wall clock; panics on demand, to make a turn fall.
pub struct TestClock {
    start: Instant,
    /// Panic on every n-th look; 0 never.
    pub panic_every: AtomicU32,
    looks: AtomicU32,
}

impl Clock for TestClock {
    fn now(&self) -> Millis {
        let every = self.panic_every.load(Ordering::Relaxed);
        let look = self.looks.fetch_add(1, Ordering::Relaxed);
        assert!(every == 0 || look % every != every - 1, "the test asked for a panic");
        Millis(START + u64::try_from(self.start.elapsed().as_millis()).unwrap())
    }
}

/// A counting generator (SplitMix64), the same in every run.
pub struct TestRng {
    state: AtomicU64,
    /// Panic on every look, to make the turn of an answer fall.
    pub poisoned: AtomicBool,
}

impl TestRng {
    fn next(&self) -> u64 {
        let mut z = self.state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Rng for TestRng {
    fn unit(&self) -> f64 {
        assert!(!self.poisoned.load(Ordering::Relaxed), "the test asked for a panic");
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn bits(&self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}

/// What the provider answers to its n-th request.
pub type Script = Box<dyn Fn(usize, &Push) -> Answer + Send + Sync>;

/// A provider that answers by script and writes down what it was asked.
pub struct Provider {
    pub script: Mutex<Script>,
    pub latency: Mutex<Duration>,
    pub window: AtomicUsize,
    pub reachable: AtomicBool,
    pub closed: Arc<AtomicBool>,
    pub requests: Mutex<Vec<(Push, Duration)>>,
    pub connections: AtomicUsize,
    pub busy: AtomicUsize,
    pub busiest: AtomicUsize,
    start: Instant,
}

impl Provider {
    pub fn deliveries(&self) -> Vec<DeliveryId> {
        self.requests.lock().unwrap().iter().map(|(push, _)| push.delivery).collect()
    }

    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    pub fn answer_with(&self, script: impl Fn(usize, &Push) -> Answer + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }
}

pub struct ProviderConnector(pub Arc<Provider>);
struct ProviderLink(Arc<Provider>, Arc<AtomicBool>);

#[async_trait]
impl Connector for ProviderConnector {
    async fn connect(&self) -> Result<Arc<dyn Link>, ConnectError> {
        self.0.connections.fetch_add(1, Ordering::Relaxed);
        if !self.0.reachable.load(Ordering::Relaxed) {
            return Err(ConnectError::Unreachable("connection refused".into()));
        }
        self.0.closed.store(false, Ordering::Relaxed);
        Ok(Arc::new(ProviderLink(Arc::clone(&self.0), Arc::clone(&self.0.closed))))
    }
}

#[async_trait]
impl Link for ProviderLink {
    fn capacity(&self) -> usize {
        if self.is_closed() { 0 } else { self.0.window.load(Ordering::Relaxed) }
    }

    fn is_closed(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }

    async fn send(&self, push: &Push) -> Answer {
        let number = {
            let mut requests = self.0.requests.lock().unwrap();
            requests.push((push.clone(), self.0.start.elapsed()));
            requests.len() - 1
        };
        let busy = self.0.busy.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.busiest.fetch_max(busy, Ordering::Relaxed);
        let latency = *self.0.latency.lock().unwrap();
        tokio::time::sleep(latency).await;
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
        let script = self.0.script.lock().unwrap();
        script(number, push)
    }
}

/// Everything a test holds.
pub struct Harness {
    pub running: Running,
    pub provider: Arc<Provider>,
    pub clock: Arc<TestClock>,
    pub rng: Arc<TestRng>,
    pub service: Arc<Service>,
}

pub const OPTIONS: EngineOptions = EngineOptions {
    partitions: 4,
    partition: PartitionLimits { max_active: 64, credits: 64, max_panics: 3 },
    admission: AdmissionLimits { in_flight: 1_000, backlog: 100_000 },
    claims_kept: Duration::from_secs(86_400),
    intensity: Intensity { restarts: 1_000, within: Duration::from_secs(10) },
};

impl Harness {
    pub async fn start() -> Self {
        Self::start_with(OPTIONS, Arc::new(MemoryStore::new(OPTIONS.partitions))).await
    }

    pub async fn start_with(options: EngineOptions, store: Arc<MemoryStore>) -> Self {
        let start = Instant::now();
        let clock =
            Arc::new(TestClock { start, panic_every: AtomicU32::new(0), looks: AtomicU32::new(0) });
        let rng = Arc::new(TestRng { state: AtomicU64::new(1), poisoned: AtomicBool::new(false) });
        let provider = Arc::new(Provider {
            script: Mutex::new(Box::new(|_, _| Answer::Accepted)),
            latency: Mutex::new(Duration::from_millis(10)),
            window: AtomicUsize::new(100),
            reachable: AtomicBool::new(true),
            closed: Arc::default(),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            busiest: AtomicUsize::new(0),
            start,
        });
        let ports = Ports { store, clock: clock.clone(), rng: rng.clone() };
        let running = pipeline::start(options, ports, vec![route(&provider)]).await.unwrap();
        let service = Arc::new(service());
        running.engine.put_service((*service).clone()).await.unwrap();
        Self { running, provider, clock, rng, service }
    }

    pub async fn register(&self, citizens: Vec<Citizen>) {
        self.running.engine.put_citizens(citizens).await.unwrap();
    }

    pub async fn submit(&self, recipient: FiscalCode) -> MessageId {
        self.running.engine.submit(self.submission(recipient)).await.unwrap()
    }

    pub fn submission(&self, recipient: FiscalCode) -> Submission {
        Submission {
            service: Arc::clone(&self.service),
            recipient,
            time_to_live: 3_600,
            feature_level: FeatureLevel::Standard,
            content: content(),
            claim: None,
        }
    }

    pub async fn books(&self) -> Books {
        self.running.engine.books().await.unwrap()
    }

    /// Lets the engine run until nothing is pending, at most `limit` of the
    /// paused clock.
    pub async fn settle(&self, limit: Duration) -> Books {
        let deadline = Instant::now() + limit;
        loop {
            let books = self.books().await;
            let open = books.messages.open() + books.all_deliveries().open();
            if open == 0 || Instant::now() >= deadline {
                return books;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Both conservation laws, at rest: what the books say is open is what
    /// the actors hold.
    pub async fn assert_conserved(&self) {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let books = self.books().await;
        let board = self.running.engine.board();
        assert_eq!(books.messages.open(), board.pending_messages(), "{books:?}");
        assert_eq!(books.all_deliveries().open(), board.pending_deliveries(), "{books:?}");
    }
}

fn route(provider: &Arc<Provider>) -> RouteOptions {
    RouteOptions {
        id: RouteId::parse("apple").unwrap(),
        platform: Platform::Apns,
        connector: Arc::new(ProviderConnector(Arc::clone(provider))),
        connections: 2,
        retry: RetryPolicy {
            base: Duration::from_secs(1),
            max: Duration::from_secs(60),
            budget: 10,
        },
        breaker: BreakerLimits {
            threshold: 5,
            base: Duration::from_secs(1),
            max: Duration::from_secs(60),
        },
    }
}

pub fn service() -> Service {
    Service {
        id: ServiceId::parse("mensa").unwrap(),
        name: "Mensa scolastica".into(),
        department: "Scuola".into(),
        organization: Organization {
            id: OrganizationId::parse("01234567890").unwrap(),
            name: "Comune di Prova".into(),
        },
        category: ServiceCategory::Standard,
        require_secure_channels: false,
        max_payment_cents: 0,
        lane: Lane::Normal,
        groups: vec![],
        authorized_cidrs: vec![],
        authorized_recipients: vec![],
        enabled: true,
    }
}

pub fn content() -> Content {
    Content {
        subject: "Menu della settimana".into(),
        markdown: "Pasta al pomodoro, verdure di stagione e frutta. ".repeat(2),
        require_secure_channels: None,
        due_date: None,
        payment: None,
        extra: None,
    }
}

/// The n-th synthetic citizen, with one device.
pub fn citizen(number: usize) -> Citizen {
    let code = format!(
        "SNTTST80A01{}{:03}X",
        (b'A' + u8::try_from(number / 1_000).unwrap()) as char,
        number % 1_000
    );
    let mut citizen = Citizen::new(FiscalCode::parse(&code).unwrap());
    citizen.devices = vec![Device {
        platform: Platform::Apns,
        token: format!("{number:064x}"),
        registered_at: Millis(1),
    }];
    citizen
}
