//! The engine over the reference store, scripted providers, a paused clock
//! and a seeded rng: every timer exact, every answer chosen by the test.

use araldo::store::memory::MemoryStore;
use araldo_actors::domain::books::Books;
use araldo_actors::domain::citizen::{Citizen, Device, Platform};
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{MessageId, OrganizationId, ServiceId};
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::message::{Content, FeatureLevel};
use araldo_actors::domain::notification::Carrier;
use araldo_actors::domain::service::{Organization, Service, ServiceCategory};
use araldo_actors::domain::time::Millis;
use araldo_actors::engine::Submission;
use araldo_actors::erasure::ErasureKey;
use araldo_actors::live::LiveLimits;
use araldo_actors::pipeline::{
    self, EngineOptions, Membership, PartitionLimits, Ports, RouteOptions, Running,
};
use araldo_actors::policy::admission::AdmissionLimits;
use araldo_actors::policy::rate::Rate;
use araldo_actors::policy::restart::Intensity;
use araldo_actors::port::budget::Budget;
use araldo_actors::port::clock::Clock;
use araldo_actors::port::rng::Rng;
use araldo_actors::port::store::Store;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

pub use super::provider::{Provider, route};

pub const START: u64 = 1_700_000_000_000;

/// tokio's paused clock as wall clock; panics on demand, to make a turn fall.
pub struct TestClock {
    start: Instant,
    /// Panic on every n-th look; 0 never.
    pub panic_every: AtomicU32,
    looks: AtomicU32,
}

impl TestClock {
    /// One whose time began at `start`.
    pub fn at(start: Instant) -> Self {
        Self { start, panic_every: AtomicU32::new(0), looks: AtomicU32::new(0) }
    }
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

/// Everything a test holds.
pub struct Harness {
    pub running: Running,
    /// Takes the pushes.
    pub provider: Arc<Provider>,
    /// Takes the mails.
    pub relay: Arc<Provider>,
    pub clock: Arc<TestClock>,
    pub rng: Arc<TestRng>,
    pub service: Arc<Service>,
}

pub const OPTIONS: EngineOptions = EngineOptions {
    partitions: 4,
    partition: PartitionLimits { max_active: 64, credits: 64, max_panics: 3 },
    admission: AdmissionLimits { in_flight: 1_000, backlog: 100_000 },
    live: LiveLimits { max_sessions: 10_000, max_sessions_per_citizen: 10 },
    claims_kept: Duration::from_secs(86_400),
    erasure_key: ErasureKey([7; 32]),
    intensity: Intensity { restarts: 1_000, within: Duration::from_secs(10) },
};

impl Harness {
    pub async fn start() -> Self {
        Self::start_with(OPTIONS, Arc::new(MemoryStore::new(OPTIONS.partitions))).await
    }

    pub async fn start_with<S: Store>(options: EngineOptions, store: Arc<S>) -> Self {
        Self::start_among(options, store, None).await
    }

    /// The same, as one of several that share the store.
    pub async fn start_among<S: Store>(
        options: EngineOptions,
        store: Arc<S>,
        cluster: Option<Membership>,
    ) -> Self {
        Self::start_within(options, store, cluster, None, None).await
    }

    /// Routes that start at most `rate` attempts a second, drawn from `budget`;
    /// none: a budget of the engine's own.
    pub async fn start_limited(rate: Option<Rate>, budget: Option<Arc<dyn Budget>>) -> Self {
        let store = Arc::new(MemoryStore::new(OPTIONS.partitions));
        Self::start_within(OPTIONS, store, None, rate, budget).await
    }

    async fn start_within<S: Store>(
        options: EngineOptions,
        store: Arc<S>,
        cluster: Option<Membership>,
        rate: Option<Rate>,
        budget: Option<Arc<dyn Budget>>,
    ) -> Self {
        let start = Instant::now();
        let clock = Arc::new(TestClock::at(start));
        let rng = Arc::new(TestRng { state: AtomicU64::new(1), poisoned: AtomicBool::new(false) });
        let provider = Arc::new(Provider::new(start));
        let relay = Arc::new(Provider::new(start));
        let ports = Ports { store, clock: clock.clone(), rng: rng.clone(), cluster, budget };
        let limited = |route: RouteOptions| RouteOptions { rate, ..route };
        let routes = vec![
            limited(route("apple", Carrier::Push(Platform::Apns), &provider)),
            limited(route("relay", Carrier::Email, &relay)),
        ];
        let running = pipeline::start(options, ports, routes).await.unwrap();
        let service = Arc::new(service());
        running.engine.put_service((*service).clone()).await.unwrap();
        Self { running, provider, relay, clock, rng, service }
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
        token: token(number),
        registered_at: Millis(1),
        installation: None,
    }];
    citizen
}

/// The n-th synthetic citizen, with one device and a validated address.
pub fn with_address(number: usize) -> Citizen {
    let email = Some(address(number));
    Citizen { email, email_validated: true, ..citizen(number) }
}

/// The address of the n-th synthetic citizen.
pub fn address(number: usize) -> String {
    format!("citizen.{number}@example.org")
}

/// The token of the n-th synthetic citizen's device.
pub fn token(number: usize) -> String {
    format!("{number:064x}")
}
