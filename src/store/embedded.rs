//! The embedded store: one folder of one machine, on the fjall storage engine.
//!
//! # Files
//!
//! ```text
//! <path>/lock          held while a process has the store open
//! <path>/commit-mark   number of the last durable group commit (see `mark`)
//! <path>/db/           the database; *.jnl are its journals
//! ```
//!
//! # Tables
//!
//! Keys are big-endian, the partition (u16) first; `embedded/key.rs` makes
//! them, `embedded/row.rs` the values.
//!
//! | table | key | value |
//! |---|---|---|
//! | `citizens` | partition, ordinal u32 | `Citizen`. Ordinals are dense, append-only, never reused. |
//! | `citizen_index` | partition, fiscal code | ordinal |
//! | `messages` | partition, message id | `Message`, written once |
//! | `states` | partition, message id | `MessageState`; none: accepted, turn not taken |
//! | `intake` | partition, lane, sequence u64 | message id, CRC-32 of its row. Contiguous in each lane; removed below its checkpoint. |
//! | `due` | partition, route number, lane, due ms, place in the order of publication, message id, endpoint | nothing |
//! | `inbox` | partition, ordinal, sequence u64 | message (or alert, once its marks changed) id, published at, marks and the sequence of their last change |
//! | `changes` | partition, ordinal, sequence u64 | sequence of the inbox entry whose marks changed there; the last change only |
//! | `addressed` | partition, fiscal code, message id | nothing: every message to a citizen, known or not |
//! | `addresses` | 1, hash of the address | fiscal code of who validated it |
//! | `erasures` | 1, due ms, fiscal code | nothing: a pending request to be deleted |
//! | | 2, done ms, keyed hash of the fiscal code | `Erasure`: that somebody was erased |
//! | `alerts` | 1, alert id | `AlertRecord` |
//! | | 2, alert id | nothing: it is running or paused |
//! | `cursors` | partition, alert id, walk | `Cursor`; a walk is 0 for the inbox, 1 + route number for a route |
//! | `ledger` | partition, alert id, walk, first ordinal | a run of marks; the inbox walk's with sequence and time of publication before it, cut where a block of 4,096 ordinals ends |
//! | `alert_order` | partition, block of ordinals, sequence | alert id, published at, and which ordinals of the block are members: how an inbox finds its alerts |
//! | `claims` | 1, scope hash | message or alert id, body hash, made at |
//! | | 2, made at, scope hash | nothing: the index for forgetting |
//! | `registry` | kind, id | organisation, service (owner by id), key |
//! | `meta` | 0 | format, partition count |
//! | | 1, partition | epoch, checkpoint and tail of each lane's journal, events, next ordinal, books |
//! | | 2, route number | route name |
//! | every table | `ff ff commit` | number of the last commit that wrote to it |
//!
//! Sequences count the events of a partition: publications (a run of an alert's
//! inbox walk is one) and changes of marks. A message's state holds its own, which leads from its id to its inbox
//! entry.
//!
//! # What is left of a citizen who was erased
//!
//! The claims of idempotency keys, if one was used within the last 24 hours:
//! hashes, and the id of a message that is gone. The record in `erasures`,
//! which names nobody. Totals in the books. Messages whose turn was not taken
//! when the citizen was erased; they end as rejected, since nobody has that
//! fiscal code any more. The marks in the ledgers of alerts, by an ordinal that
//! leads to nobody and is never used again.
//!
//! # Invariants
//!
//! - One writer thread (see `writer`) makes every change, in group commits:
//!   one batch, one fsync, and only then the answers. The counters and books
//!   of a partition are written with the rows they count.
//! - Readers see whole group commits, all of them durable.
//! - Nothing here blocks a runtime's worker: reads run on its blocking pool,
//!   at most [`READERS`] at once; writes wait for the writer's answer.
//!
//! # Crash
//!
//! A killed process loses at most groups that nobody was told of; their torn
//! tail in the journal is dropped at the next start. Whatever was acknowledged
//! and is gone (a damaged journal or file, a folder restored in part) is found
//! at the start, from the commit numbers, or when a partition is opened, from
//! its journals' sequences and checksums; the store then refuses to run.

use async_trait::async_trait;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{Semaphore, mpsc, oneshot};

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
mod alert;
mod citizen;
mod due;
mod erase;
mod export;
mod floor;
mod group;
mod inbox;
mod index;
mod journal;
mod key;
mod mark;
mod open;
mod overlay;
mod read;
mod registry;
mod route;
mod row;
mod shared;
mod step;
mod table;
mod watch;
mod writer;

pub(super) use export::Source;
pub use open::OpenError;

use accept::Append;
use alert::Closing;
use citizen::Record;
use erase::Erase;
use read::Except;
use shared::Shared;
use writer::{GROUP_JOBS, Job, Reply, Writer};

/// Reads at once: enough to keep a disk busy, few enough that their threads
/// and buffers do not count.
const READERS: usize = 8;

/// What an embedded store needs to know.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// Its folder; made if missing.
    pub path: PathBuf,
    /// Slices of the citizens, 1 to 4,096; fixed when the store is made.
    pub partitions: u16,
    /// Memory for blocks read from disk, in bytes; taken as needed.
    pub cache_bytes: u64,
}

/// The embedded store. Dropping it waits for the writer to end.
pub struct EmbeddedStore {
    /// None once the store is being closed.
    jobs: Option<mpsc::Sender<Job>>,
    shared: Arc<Shared>,
    reads: Arc<Semaphore>,
    partitions: u16,
    closing: Closing,
    /// None once the store is being closed.
    watch: Option<std::sync::mpsc::SyncSender<()>>,
    threads: Vec<JoinHandle<()>>,
    /// After everything that uses the folder.
    _lock: File,
}

impl EmbeddedStore {
    /// Opens the store in `options.path`, making it if there is none. Blocks
    /// for as long as it takes to read the journals.
    ///
    /// # Errors
    /// [`OpenError`], one sentence that names the place.
    pub fn open(options: &EmbeddedOptions) -> Result<Self, OpenError> {
        let opening = open::open(options)?;
        let group = opening.group();
        let shared = Arc::new(Shared::new(opening.tables, opening.routes, opening.partitions));
        let (jobs, waiting) = mpsc::channel(GROUP_JOBS);
        let (watch, closed) = std::sync::mpsc::sync_channel(0);
        let writer = Writer::new(group, opening.mark, Arc::clone(&shared));
        let watched = Arc::clone(&shared);
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| {
                OpenError::Database {
                    path: options.path.clone(),
                    reason: format!("no thread can be started: {error}"),
                }
            })
        };
        let threads = vec![
            spawn("store-writer", Box::new(move || writer.run(waiting)))?,
            spawn("store-watch", Box::new(move || watch::run(&watched, &closed)))?,
        ];
        Ok(Self {
            jobs: Some(jobs),
            shared,
            reads: Arc::new(Semaphore::new(READERS)),
            partitions: options.partitions,
            closing: Closing::default(),
            watch: Some(watch),
            threads,
            _lock: opening.lock,
        })
    }

    /// Resolves with the reason once the store has failed for good: a write
    /// failed or did not end. The process must then end too; the next start
    /// reads what really is on the disk. Never resolves while all is well.
    pub async fn failed(&self) -> Arc<str> {
        let mut failure = self.shared.subscribe();
        match failure.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(reason)) => Arc::clone(reason),
            // The sender lives in `shared`, so it cannot be gone.
            _ => std::future::pending().await,
        }
    }

    /// Hands a job to the writer and waits for its answer.
    async fn write<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let Some(jobs) = &self.jobs else { return Err(self.shared.refusal()) };
        if jobs.send(job(reply)).await.is_err() {
            return Err(self.shared.refusal());
        }
        answer.await.unwrap_or_else(|_| {
            Err(StoreError::Unconfirmed("the store's writer stopped".to_owned()))
        })
    }

    /// Runs a read on the blocking pool.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.reads)
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Unavailable("the store is closed".to_owned()))?;
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            read(&shared)
        });
        done.await.unwrap_or_else(|error| {
            Err(StoreError::Unavailable(format!("a read did not end: {error}")))
        })
    }

    fn check(&self, partition: PartitionId) -> Result<(), StoreError> {
        if partition.0 < self.partitions {
            Ok(())
        } else {
            Err(StoreError::Unavailable(format!("there is no partition {partition}")))
        }
    }

    fn home(&self, citizen: &FiscalCode) -> u16 {
        PartitionId::of(citizen, self.partitions).0
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.jobs = None;
        self.watch = None;
        for thread in self.threads.drain(..) {
            // A panic of the thread was reported when it happened.
            drop(thread.join());
        }
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn accept(
        &self,
        message: Message,
        claim: Option<IdempotencyClaim>,
    ) -> Result<Acceptance, StoreError> {
        let append = Append::new(self.home(&message.fiscal_code), message, claim)?;
        self.write(|reply| Job::Accept(append, reply)).await
    }

    async fn message(
        &self,
        recipient: FiscalCode,
        id: MessageId,
    ) -> Result<Option<(Message, MessageState)>, StoreError> {
        let home = self.home(&recipient);
        self.read(move |shared| {
            let view = shared.tables.view();
            match view.message(home, id)? {
                Some(message) if message.fiscal_code == recipient => {
                    let state = view.state(home, &message)?;
                    Ok(Some((message, state)))
                }
                Some(_) => Ok(None),
                None => view.alert_for(home, &recipient, id),
            }
        })
        .await
    }

    async fn inbox(
        &self,
        citizen: FiscalCode,
        range: InboxRange,
    ) -> Result<Vec<InboxItem>, StoreError> {
        let home = self.home(&citizen);
        self.read(move |shared| shared.tables.view().inbox(home, &citizen, &range)).await
    }

    async fn inbox_item(
        &self,
        citizen: FiscalCode,
        message: MessageId,
    ) -> Result<Option<InboxItem>, StoreError> {
        let home = self.home(&citizen);
        self.read(move |shared| shared.tables.view().inbox_item(home, &citizen, message)).await
    }

    async fn events(
        &self,
        citizen: FiscalCode,
        after: Option<u64>,
        limit: usize,
    ) -> Result<InboxEvents, StoreError> {
        let home = self.home(&citizen);
        self.read(move |shared| shared.tables.view().events(home, &citizen, after, limit)).await
    }

    async fn mark(
        &self,
        citizen: FiscalCode,
        message: MessageId,
        change: MarkChange,
    ) -> Result<Option<InboxEntry>, StoreError> {
        self.write(|reply| Job::Mark(citizen, message, change, reply)).await
    }

    async fn addressed(
        &self,
        recipient: FiscalCode,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<(Message, MessageState)>, StoreError> {
        let home = self.home(&recipient);
        self.read(move |shared| shared.tables.view().addressed(home, &recipient, after, limit))
            .await
    }

    async fn citizen(&self, fiscal_code: FiscalCode) -> Result<Option<Citizen>, StoreError> {
        let home = self.home(&fiscal_code);
        self.read(move |shared| shared.tables.view().citizen(home, &fiscal_code)).await
    }

    async fn address_owner(&self, address: AddressId) -> Result<Option<FiscalCode>, StoreError> {
        self.read(move |shared| shared.tables.view().address_owner(address)).await
    }

    async fn put_citizens(&self, citizens: Vec<Citizen>) -> Result<Vec<Upsert>, StoreError> {
        let records = citizens.into_iter().map(Record::new).collect();
        self.write(|reply| Job::Citizens(records, reply)).await
    }

    async fn swap_citizen(
        &self,
        citizen: Citizen,
        expected: Option<u64>,
    ) -> Result<Swap, StoreError> {
        let record = Box::new(Record::new(citizen));
        self.write(|reply| Job::Swap(record, expected, reply)).await
    }

    async fn erase(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        citizen: FiscalCode,
        checkpoints: ByLane<u64>,
        record: Erasure,
    ) -> Result<Erased, StoreError> {
        let erase = Erase { partition, epoch, citizen, checkpoints, record };
        self.write(|reply| Job::Erase(Box::new(erase), reply)).await
    }

    async fn erasures_due(
        &self,
        until: Millis,
        limit: usize,
    ) -> Result<Vec<FiscalCode>, StoreError> {
        self.read(move |shared| shared.tables.view().erasures_due(until, limit)).await
    }

    async fn erasures(&self, limit: usize) -> Result<Vec<Erasure>, StoreError> {
        self.read(move |shared| shared.tables.view().erasures(limit)).await
    }

    async fn open_partition(&self, id: PartitionId) -> Result<Opened, StoreError> {
        let epoch = self.write(|reply| Job::Open(id, reply)).await?;
        self.read(move |shared| {
            let view = shared.tables.view();
            let counters = view.partition(id.0)?;
            let mut journals = ByLane::default();
            for lane in Lane::ALL {
                journals[lane] = view.journal(id.0, lane, &counters)?;
            }
            Ok(Opened { epoch, journals, backlogs: shared.backlogs(&view, id.0)? })
        })
        .await
    }

    async fn arrivals(
        &self,
        partition: PartitionId,
        lane: Lane,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Arrival>, StoreError> {
        self.check(partition)?;
        self.read(move |shared| shared.tables.view().arrivals(partition, lane, from, limit)).await
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
        self.check(partition)?;
        let search = due::Search {
            partition: partition.0,
            route: route.clone(),
            lane,
            until,
            limit,
            except: Except::new(except.to_vec()),
        };
        self.read(move |shared| shared.due(&search)).await
    }

    async fn commit(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        step: Step,
    ) -> Result<(), StoreError> {
        self.write(|reply| Job::Step(partition, epoch, step, reply)).await
    }

    async fn books(&self, partitions: &[PartitionId]) -> Result<Books, StoreError> {
        for partition in partitions {
            self.check(*partition)?;
        }
        Ok(self.shared.books(partitions))
    }

    async fn registry(&self) -> Result<Registry, StoreError> {
        self.read(|shared| shared.tables.view().registry()).await
    }

    async fn put_organization(&self, organization: Organization) -> Result<(), StoreError> {
        self.write(|reply| Job::Organization(organization, reply)).await
    }

    async fn put_service(&self, service: Service) -> Result<(), StoreError> {
        self.write(|reply| Job::Service(Box::new(service), reply)).await
    }

    async fn put_key(&self, key: ApiKey) -> Result<(), StoreError> {
        self.write(|reply| Job::Key(key, reply)).await
    }

    async fn remove_key(&self, id: &str) -> Result<bool, StoreError> {
        self.write(|reply| Job::RemoveKey(id.to_owned(), reply)).await
    }

    async fn forget_claims(&self, before: Millis) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let count = self.write(|reply| Job::Forget(before, reply)).await?;
            forgotten += count;
            if count < registry::FORGET_AT_ONCE {
                return Ok(forgotten);
            }
        }
    }
}
