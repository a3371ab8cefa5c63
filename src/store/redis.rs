//! The store on Redis 7: one server, a master that Sentinels watch, or a
//! Cluster. Many processes share it; Redis does the storing, the ordering and
//! the replicating.
//!
//! # Keys
//!
//! `<prefix>:{p<n>}:<name>` for partition n, `<prefix>:{all}:<name>` for what
//! all share: one hash tag, so one slot, for all that a script touches. Values are
//! described in `redis/row.rs`; numbers in fields and members are big-endian.
//!
//! | name | kind | holds |
//! |---|---|---|
//! | `counters` | hash | `own` (fencing token, never expires), `epoch`, `opener` and `opening` (which takeover gave it), `released` (epoch whose lease was given back), `step`, `name` and `base` (number and name of the owner's last step, and the place before its first), `events`, `ordinals`, `books`, `tail:<lane>`, `checkpoint:<lane>` |
//! | `lease` | string | incarnation of who may work on the partition; expires |
//! | `journal:<lane>` | stream | ids are the sequence from 1 on, without gaps; entries below the checkpoint are trimmed; `e` the entry, `c` which call wrote it |
//! | `messages`, `states` | hashes | by message id; no state: accepted, turn not taken |
//! | `citizens` | hash | by ordinal: dense, append-only, never reused |
//! | `index` | hash | ordinals by fiscal code |
//! | `addressed:<fiscal code>` | sorted set, by member | every message to a person, known or not |
//! | `inbox:<ordinal>` | sorted set | entries by place |
//! | `changes:<ordinal>` | sorted set | entries whose marks changed, by the place of the last change |
//! | `due:<lane>:<route>` | sorted set | deliveries that wait, by when they are due |
//! | `routes` | set | routes that ever had one |
//! | `cursors:<alert>` | hash | by walk |
//! | `ledger:<alert>:<walk>` | sorted set | runs by first ordinal |
//! | `shown:<block>` | sorted set | publications of alerts by place |
//! | `addresses` | hash | who validated an address, by its hash |
//! | `loose` | set | rows of `addresses` to be removed |
//! | `deletions` | sorted set | pending requests to be deleted, by when they are due |
//! | `erasures`, `erasures_by_time` | hash, sorted set | that somebody was erased |
//! | `claims`, `claims_by_time` | hash, sorted set | idempotency keys |
//! | `alerts`, `alert_ids`, `open_alerts` | hash, sorted sets by member | shared |
//! | `closed:<alert>` | set | partitions that have nothing left of an alert that is not final; shared |
//! | `registry`, `format` | hashes | shared; beside the format which key was the first, and what is being moved in (see `import`) |
//! | `nodes`, `nodes_by_time` | hash, sorted set | signs of life, by name: incarnation and view; and when each lapses |
//! | `bus` | sharded channel | what nodes tell each other |
//! | `secret` | string | 32 random bytes that all nodes share |
//! | `registers` | hash | small values that all nodes share, each with its length before it |
//! | `bucket:<name>` | string | when a bucket of tokens is full again, in µs; expires |
//! | `pulse` | string | written before replicas are counted |
//!
//! # Invariants
//!
//! - What belongs together is written by one script. Each of the owner's names
//!   the fencing token and the number of its step; each of any other node's
//!   names what it read (see `batch`).
//! - Every write may be sent twice and arrive late: it is then recognised, or
//!   refused. An answer means written, fsynced as Redis is set to, and received
//!   by as many replicas as configured.
//! - Places in the order of events are taken by the script that writes what
//!   happened there: whoever read up to a place missed nothing before it.
//! - No question is unbounded: pages, groups and scans have sizes. Every
//!   operation that somebody waits for ends within
//!   [`RedisOptions::answered_within`]; of all others each question does (see
//!   `deadline`).
//! - What an owner learned of a partition holds for the run of the server that
//!   told it. Another one (a replica that took over, the same server started
//!   again) answers none of its steps: the partition is taken over anew.
//!
//! # Crash
//!
//! Of this process: what was sent is written or not, whole; what spans two
//! partitions (a claim and its message, an address and its record) is left in a
//! state that the next who meets it brings to its end (`accept`, `address`). Of
//! Redis: what it fsynced is there. A master that was replaced before its
//! replicas had all writes loses those that were not answered, if replicas are
//! counted; with none configured, the newest that were. A write that was given up
//! arrives as long as its connection lives, at most: a message whose acceptance
//! arrives after its recipient was erased is a message to somebody unknown.

use async_trait::async_trait;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;

use araldo_actors::domain::books::Books;
use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::data_request::Erasure;
use araldo_actors::domain::delivery::{Endpoint, MessageState};
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{AddressId, Epoch, MessageId, PartitionId, RouteId};
use araldo_actors::domain::inbox::{InboxEntry, InboxEvents, InboxItem, InboxRange, MarkChange};
use araldo_actors::domain::lane::{ByLane, Lane};
use araldo_actors::domain::message::Message;
use araldo_actors::domain::service::{ApiKey, Organization, Registry, Service};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::{
    Acceptance, Arrival, DueDelivery, Erased, IdempotencyClaim, Opened, Step, Store, StoreError,
    Swap, Upsert,
};

mod accept;
mod address;
mod alert;
mod base;
mod batch;
mod budget;
mod citizen;
mod cluster;
mod deadline;
mod due;
mod erase;
mod first_key;
mod import;
mod inbox;
mod journal;
mod key;
mod link;
mod open;
mod options;
mod owner;
mod read;
mod registry;
mod reply;
mod row;
pub mod safety;
mod script;
mod shared;
mod step;

pub(super) use import::{Counter, Miscounted, Obstacle, Target};
pub use options::{OpenError, RedisOptions, Servers};

use base::look_again;
use erase::Erase;
use key::Space;
use link::Link;
use owner::{Memory, Recent};

/// The layout this version writes and reads.
const FORMAT_VERSION: u16 = 1;
/// Most partitions a store can have.
const MAX_PARTITIONS: u16 = 4_096;

/// The store on Redis.
pub struct RedisStore {
    link: Arc<Link>,
    incarnation: u128,
    /// Names this value among all that take partitions over, whatever the
    /// process.
    instance: String,
    /// Takeovers tried so far.
    openings: AtomicU64,
    /// How long a lease lasts; zero: there are none.
    lease: Duration,
    /// Name and incarnation last given as a sign of life.
    sign: Mutex<Option<(String, String)>>,
    /// Who listens to the bus; ends with this value.
    tasks: Mutex<JoinSet<()>>,
    /// What all partitions share.
    all: Space,
    spaces: Vec<Space>,
    /// What is remembered of each partition by its owner, if that is this
    /// process; held for the length of a step.
    owners: Vec<tokio::sync::Mutex<Memory>>,
    /// The last epoch given to this process, for each partition.
    epochs: Vec<AtomicU64>,
    /// Alerts known to exist.
    alerts_known: Mutex<Recent<MessageId, ()>>,
}

#[async_trait]
impl Store for RedisStore {
    async fn accept(
        &self,
        message: Message,
        claim: Option<IdempotencyClaim>,
    ) -> Result<Acceptance, StoreError> {
        self.in_time(self.accept_message(message, claim)).await
    }

    async fn message(
        &self,
        recipient: FiscalCode,
        id: MessageId,
    ) -> Result<Option<(Message, MessageState)>, StoreError> {
        self.in_time(look_again(|| self.message_for(recipient, id))).await
    }

    async fn inbox(
        &self,
        citizen: FiscalCode,
        range: InboxRange,
    ) -> Result<Vec<InboxItem>, StoreError> {
        self.in_time(look_again(|| self.inbox_page(citizen, range))).await
    }

    async fn inbox_item(
        &self,
        citizen: FiscalCode,
        message: MessageId,
    ) -> Result<Option<InboxItem>, StoreError> {
        self.in_time(look_again(|| self.item_of(citizen, message))).await
    }

    async fn events(
        &self,
        citizen: FiscalCode,
        after: Option<u64>,
        limit: usize,
    ) -> Result<InboxEvents, StoreError> {
        self.in_time(look_again(|| self.events_after(citizen, after, limit))).await
    }

    async fn mark(
        &self,
        citizen: FiscalCode,
        message: MessageId,
        change: MarkChange,
    ) -> Result<Option<InboxEntry>, StoreError> {
        self.in_time(self.change_marks(citizen, message, change)).await
    }

    async fn addressed(
        &self,
        recipient: FiscalCode,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<(Message, MessageState)>, StoreError> {
        self.in_time(look_again(|| self.addressed_to(recipient, after, limit))).await
    }

    async fn citizen(&self, fiscal_code: FiscalCode) -> Result<Option<Citizen>, StoreError> {
        let found = self.in_time(self.resident(&fiscal_code)).await?;
        Ok(found.map(|(_, citizen)| citizen))
    }

    async fn address_owner(&self, address: AddressId) -> Result<Option<FiscalCode>, StoreError> {
        self.in_time(self.owner_of(address)).await
    }

    async fn put_citizens(&self, citizens: Vec<Citizen>) -> Result<Vec<Upsert>, StoreError> {
        self.put_all(citizens).await
    }

    async fn swap_citizen(
        &self,
        citizen: Citizen,
        expected: Option<u64>,
    ) -> Result<Swap, StoreError> {
        self.in_time(self.swap(citizen, expected)).await
    }

    async fn open_partition(&self, id: PartitionId) -> Result<Opened, StoreError> {
        self.take_over(id).await
    }

    async fn arrivals(
        &self,
        partition: PartitionId,
        lane: Lane,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Arrival>, StoreError> {
        self.read_arrivals(partition, lane, from, limit).await
    }

    async fn due(
        &self,
        partition: PartitionId,
        route: &RouteId,
        lane: Lane,
        until: Millis,
        limit: usize,
        except: &[(MessageId, Endpoint)],
    ) -> Result<(Vec<DueDelivery>, Option<Millis>), StoreError> {
        self.search_due(&due::Search { partition, route, lane, until, limit, except }).await
    }

    async fn commit(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        step: Step,
    ) -> Result<(), StoreError> {
        self.commit_step(partition, epoch, step).await
    }

    async fn erase(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        citizen: FiscalCode,
        checkpoints: ByLane<u64>,
        record: Erasure,
    ) -> Result<Erased, StoreError> {
        self.erase_citizen(Erase { partition, epoch, citizen, checkpoints, record }).await
    }

    async fn erasures_due(
        &self,
        until: Millis,
        limit: usize,
    ) -> Result<Vec<FiscalCode>, StoreError> {
        self.due_for_erasure(until, limit).await
    }

    async fn erasures(&self, limit: usize) -> Result<Vec<Erasure>, StoreError> {
        self.erased(limit).await
    }

    async fn books(&self, partitions: &[PartitionId]) -> Result<Books, StoreError> {
        self.sum_books(partitions).await
    }

    async fn registry(&self) -> Result<Registry, StoreError> {
        self.read_registry().await
    }

    async fn put_organization(&self, organization: Organization) -> Result<(), StoreError> {
        self.in_time(self.put_organization_row(&organization)).await
    }

    async fn put_service(&self, service: Service) -> Result<(), StoreError> {
        self.in_time(self.put_service_row(service)).await
    }

    async fn put_key(&self, key: ApiKey) -> Result<(), StoreError> {
        self.in_time(self.put_key_row(&key)).await
    }

    async fn remove_key(&self, id: &str) -> Result<bool, StoreError> {
        self.in_time(self.remove_key_row(id)).await
    }

    async fn forget_claims(&self, before: Millis) -> Result<u64, StoreError> {
        self.forget_before(before).await
    }
}
