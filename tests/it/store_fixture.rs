//! What the tests of the stores share: people, messages and folders.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use araldo::store::embedded::{EmbeddedOptions, EmbeddedStore};
use araldo_actors::domain::citizen::{Citizen, Device, Platform};
use araldo_actors::domain::data_request::{DataChoice, DataRequest, DataRequestStatus, Erasure};
use araldo_actors::domain::delivery::{DeliveryRecord, Endpoint, MessageState};
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{
    Epoch, MessageId, OrganizationId, PartitionId, RouteId, ServiceId,
};
use araldo_actors::domain::inbox::{InboxItem, InboxRange};
use araldo_actors::domain::lane::{ByLane, Lane};
use araldo_actors::domain::message::{Content, FeatureLevel, Message};
use araldo_actors::domain::outcome::{DeliveryStatus, Outcome};
use araldo_actors::domain::service::{ApiKey, Organization, Role, Service, ServiceCategory};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::{Acceptance, IdempotencyClaim, Journal, Opened, Step, Store};

/// Runs each case against each implementation.
macro_rules! contract {
    ($($case:ident),* $(,)?) => {
        mod memory {
            use araldo::store::memory::MemoryStore;
            $(#[tokio::test]
            async fn $case() {
                super::$case(&MemoryStore::new($crate::store_fixture::PARTITIONS)).await;
            })*
        }
        mod embedded {
            use $crate::store_fixture::{embedded, folder};
            $(#[tokio::test]
            async fn $case() {
                let folder = folder();
                super::$case(&*embedded(folder.path())).await;
            })*
        }
        mod redis {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&$crate::redis_kit::single().await).await;
            })*
        }
        mod redis_cluster {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&$crate::redis_kit::cluster().await).await;
            })*
        }
    };
}
pub(crate) use contract;

/// Partitions of every store in these tests.
pub const PARTITIONS: u16 = 3;

/// All of them.
pub fn everywhere() -> Vec<PartitionId> {
    (0..PARTITIONS).map(PartitionId).collect()
}

/// The fiscal code of person number `n`.
pub fn code(n: u32) -> FiscalCode {
    FiscalCode::parse(&format!("AAAAAA{:02}A{:02}A{:03}A", n / 100_000, n / 1_000 % 100, n % 1_000))
        .unwrap()
}

/// The partition of person number `n`.
pub fn home(n: u32) -> PartitionId {
    PartitionId::of(&code(n), PARTITIONS)
}

/// A device with token number `n`, registered at `at`.
pub fn device(n: u32, at: u64) -> Device {
    Device {
        platform: Platform::Apns,
        token: format!("token-{n}"),
        registered_at: Millis(at),
        installation: None,
    }
}

/// Person number `n` with one device, registered at 100.
pub fn citizen(n: u32) -> Citizen {
    let mut citizen = Citizen::new(code(n));
    citizen.devices.push(device(n, 100));
    citizen
}

/// Message number `n` to person `to`, accepted at `1_000 + n`.
pub fn message(n: u64, to: u32) -> Message {
    let at = Millis(1_000 + n);
    Message {
        id: MessageId::new(at, u128::from(n)),
        fiscal_code: code(to),
        service: ServiceId::parse("service-1").unwrap(),
        accepted_at: at,
        time_to_live: 3_600,
        lane: Lane::Normal,
        feature_level: FeatureLevel::Standard,
        content: Content {
            subject: format!("Subject of message {n}"),
            markdown: "A text of some length. ".repeat(40),
            require_secure_channels: None,
            due_date: None,
            payment: None,
            extra: None,
        },
    }
}

/// The claim of key `key` for the body `body`.
pub fn claim(key: u8, body: u8) -> IdempotencyClaim {
    IdempotencyClaim { scope: [key; 32], body: [body; 32] }
}

/// The route called `name`.
pub fn route(name: &str) -> RouteId {
    RouteId::parse(name).unwrap()
}

/// The endpoint of device number `n`.
pub fn endpoint(n: u32) -> Endpoint {
    Endpoint::Device(device(n, 0).id())
}

/// The plan of a message to person `to`: inbox, and push over `via` at `due`.
pub fn plan(to: u32, via: &str, due: u64, at: u64) -> Vec<DeliveryRecord> {
    vec![
        DeliveryRecord {
            endpoint: Endpoint::Inbox,
            route: None,
            retries: 0,
            status: DeliveryStatus::Ended { outcome: Outcome::Delivered, at: Millis(at) },
        },
        DeliveryRecord {
            endpoint: endpoint(to),
            route: Some(route(via)),
            retries: 0,
            status: DeliveryStatus::Pending { due: Millis(due) },
        },
    ]
}

/// Message number `n` to person `to` is processed, its push due at `due`.
pub fn processed(n: u64, to: u32, due: u64) -> Effect {
    Effect::Processed {
        message: message(n, to).id,
        citizen: code(to),
        lane: Lane::Normal,
        deliveries: plan(to, "apple", due, 5_000),
    }
}

/// A step of `effects` at time 5,000.
pub fn step(effects: Vec<Effect>) -> Step {
    Step { effects, checkpoints: ByLane::default(), at: Millis(5_000) }
}

/// Checkpoints that leave all lanes but the normal one where they are.
pub fn up_to(sequence: u64) -> ByLane<u64> {
    ByLane::only(Lane::Normal, sequence)
}

/// The journal of the normal lane.
pub fn journal(opened: &Opened) -> Journal {
    opened.journals[Lane::Normal]
}

/// Message number `n` to person `to`, in another lane.
pub fn message_in(lane: Lane, n: u64, to: u32) -> Message {
    Message { lane, ..message(n, to) }
}

/// Accepts message `n` to person `to` without a claim.
pub async fn accept(store: &dyn Store, n: u64, to: u32) -> Acceptance {
    store.accept(message(n, to), None).await.unwrap()
}

/// An organisation.
pub fn organization(name: &str) -> Organization {
    Organization { id: OrganizationId::parse("01234567890").unwrap(), name: name.to_owned() }
}

/// A service of [`organization`].
pub fn service(id: &str) -> Service {
    Service {
        id: ServiceId::parse(id).unwrap(),
        name: "Certificates".to_owned(),
        department: "Registry office".to_owned(),
        organization: organization("City"),
        category: ServiceCategory::Standard,
        require_secure_channels: false,
        max_payment_cents: 100,
        lane: Lane::Urgent,
        groups: vec!["ApiMessageWrite".to_owned()],
        authorized_cidrs: Vec::new(),
        authorized_recipients: vec![code(1)],
        enabled: true,
    }
}

/// A key.
pub fn api_key(id: &str) -> ApiKey {
    ApiKey {
        id: id.to_owned(),
        hash: [7; 32],
        name: "somebody".to_owned(),
        role: Role::Sender,
        service: Some(ServiceId::parse("service-1").unwrap()),
        created_at: Millis(1),
    }
}

/// Options of a store in `path`.
pub fn options(path: &Path) -> EmbeddedOptions {
    EmbeddedOptions { path: path.to_owned(), partitions: PARTITIONS, cache_bytes: 8 << 20 }
}

/// Opens the embedded store in `path`.
pub fn embedded(path: &Path) -> Arc<EmbeddedStore> {
    Arc::new(EmbeddedStore::open(&options(path)).unwrap())
}

/// A folder that only this test uses.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Takes over the partition of a person.
pub async fn open(store: &dyn Store, person: u32) -> (PartitionId, Epoch) {
    let opened = store.open_partition(home(person)).await.unwrap();
    (home(person), opened.epoch)
}

/// Person 1 with message 1, processed, its push due at 10.
pub async fn one_processed(store: &dyn Store) -> (PartitionId, Epoch) {
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    accept(store, 1, 1).await;
    let (partition, epoch) = open(store, 1).await;
    store.commit(partition, epoch, step(vec![processed(1, 1, 10)])).await.unwrap();
    (partition, epoch)
}

/// The state of message `n` to person `to`.
pub async fn state_of(store: &dyn Store, n: u64, to: u32) -> MessageState {
    store.message(code(to), message(n, to).id).await.unwrap().unwrap().1
}

/// What is due on route `apple` in the normal lane: when, and where to.
pub async fn due_ids(
    store: &dyn Store,
    partition: PartitionId,
    until: u64,
) -> Vec<(u64, Endpoint)> {
    let (apple, until) = (route("apple"), Millis(until));
    let due = store.due(partition, &apple, Lane::Normal, until, 100, &[]).await.unwrap().0;
    due.into_iter().map(|one| (one.due.0, one.endpoint)).collect()
}

/// Everything in a person's inbox, the newest first.
pub async fn inbox(store: &dyn Store, person: u32) -> Vec<InboxItem> {
    let range = InboxRange { limit: 1_000, ..InboxRange::default() };
    store.inbox(code(person), range).await.unwrap()
}

/// Person number `n` as stored.
pub async fn stored(store: &dyn Store, n: u32) -> Citizen {
    store.citizen(code(n)).await.unwrap().unwrap()
}

/// Person number `n` who validated `address`.
pub fn reachable(n: u32, address: &str) -> Citizen {
    Citizen { email: Some(address.to_owned()), email_validated: true, ..citizen(n) }
}

/// The citizen with a request to be deleted at `due`.
pub fn leaving(mut citizen: Citizen, status: DataRequestStatus, due: u64) -> Citizen {
    let request = DataRequest {
        status,
        created_at: Millis(1),
        updated_at: Millis(2),
        version: 0,
        due: Millis(due),
    };
    citizen.data_requests.insert(DataChoice::Delete, request);
    citizen
}

/// The record of a citizen erased at `at`, named `subject`.
pub fn erasure(subject: u8, at: u64) -> Erasure {
    Erasure { subject: [subject; 32], requested_at: Millis(1), erased_at: Millis(at), messages: 0 }
}
