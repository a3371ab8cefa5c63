//! The writer: one OS thread that makes every change durable.
//!
//! Jobs come over a bounded channel. The writer takes what waits, up to
//! [`GROUP_JOBS`] jobs or [`GROUP_BYTES`] bytes, puts it into one batch,
//! commits and fsyncs it once, and answers all. It never waits for more: an
//! idle store answers after one fsync, a busy one gathers the next group while
//! the disk works on this one.
//!
//! The storage engine refuses every write after one failed (a page that could
//! not be written may be dropped by the kernel, so trying again proves
//! nothing). Then the jobs of that group are answered `Unconfirmed`, everything
//! after it `Unavailable`, and [`Shared::fail`] lets the application know, which
//! has to end the process: the next start reads what really is on the disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use araldo_actors::domain::alert::{Alert, AlertRecord};
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{Epoch, MessageId, PartitionId};
use araldo_actors::domain::inbox::{InboxEntry, MarkChange};
use araldo_actors::domain::service::{ApiKey, Organization, Service};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::alert_store::AlertAcceptance;
use araldo_actors::port::store::{
    Acceptance, Erased, IdempotencyClaim, Step, StoreError, Swap, Upsert,
};

use super::accept::Append;
use super::alert::{self, Change};
use super::citizen::Record;
use super::erase::Erase;
use super::group::Group;
use super::mark::CommitMark;
use super::shared::Shared;

/// Most jobs in a group; also how many may wait.
pub(super) const GROUP_JOBS: usize = 1_024;
/// Bytes after which a group is closed.
const GROUP_BYTES: usize = 4 << 20;
/// Rough size of a citizen's row, and of an effect's rows.
const ROW_BYTES: usize = 256;

/// Where a job's answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A change to make.
pub(super) enum Job {
    Accept(Append, Reply<Acceptance>),
    Citizens(Vec<Record>, Reply<Vec<Upsert>>),
    Swap(Box<Record>, Option<u64>, Reply<Swap>),
    Mark(FiscalCode, MessageId, MarkChange, Reply<Option<InboxEntry>>),
    Erase(Box<Erase>, Reply<Erased>),
    Step(PartitionId, Epoch, Step, Reply<()>),
    Open(PartitionId, Reply<Epoch>),
    Organization(Organization, Reply<()>),
    Service(Box<Service>, Reply<()>),
    Key(ApiKey, Reply<()>),
    RemoveKey(String, Reply<bool>),
    Forget(Millis, Reply<u64>),
    Alert(AlertJob),
}

/// A change of an alert.
pub(super) enum AlertJob {
    Accept(Box<Alert>, Option<IdempotencyClaim>, Reply<AlertAcceptance>),
    Status(Change, Reply<Option<AlertRecord>>),
    Cancel(MessageId, Millis, Reply<Option<AlertRecord>>),
}

/// An answer that waits for the group to be durable.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// The writer's own state; everything else it shares with the readers.
pub(super) struct Writer {
    group: Group,
    mark: CommitMark,
    shared: Arc<Shared>,
    answers: Vec<Answer>,
    bytes: usize,
}

impl Writer {
    pub(super) const fn new(group: Group, mark: CommitMark, shared: Arc<Shared>) -> Self {
        Self { group, mark, shared, answers: Vec::new(), bytes: 0 }
    }

    /// Works until every sender is gone.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let shared = Arc::clone(&self.shared);
        if catch_unwind(AssertUnwindSafe(|| self.work(&mut jobs))).is_err() {
            shared.fail("the writer panicked");
        }
        drop(self);
        // After a failure: refuse, so that nobody waits for an answer.
        while let Some(job) = jobs.blocking_recv() {
            refuse(job, &shared.refusal());
        }
    }

    fn work(&mut self, jobs: &mut mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            self.shared.set_busy(true);
            let mut next = Some(first);
            while let Some(job) = next {
                // Looks at the tables, so it must see what came before.
                let alone = matches!(job, Job::Forget(..) | Job::Erase(..));
                if alone {
                    self.commit();
                }
                self.take(job);
                let full = self.answers.len() >= GROUP_JOBS || self.bytes >= GROUP_BYTES;
                next = if alone || full { None } else { jobs.try_recv().ok() };
            }
            self.commit();
            self.shared.set_busy(false);
            if self.shared.failure().is_some() {
                return;
            }
        }
    }

    /// Puts one job into the group.
    fn take(&mut self, job: Job) {
        let group = &mut self.group;
        match job {
            Job::Accept(append, reply) => {
                self.bytes += append.size();
                let done = group.accept(append);
                self.later(reply, done);
            }
            Job::Citizens(records, reply) => {
                self.bytes += records.len() * ROW_BYTES;
                let done = group.put_citizens(records);
                self.later(reply, done);
            }
            Job::Swap(record, expected, reply) => {
                self.bytes += ROW_BYTES;
                let done = group.swap_citizen(*record, expected);
                self.later(reply, done);
            }
            Job::Mark(citizen, message, change, reply) => {
                let done = group.mark(&citizen, message, change);
                self.later(reply, done);
            }
            Job::Erase(erase, reply) => {
                let done = group.erase(*erase);
                self.later(reply, done);
            }
            Job::Step(partition, epoch, step, reply) => {
                let rows = step.effects.iter().map(|effect| ROW_BYTES + alert::weight(effect));
                self.bytes += rows.sum::<usize>();
                let done = group.step(partition, epoch, step);
                self.later(reply, done);
            }
            Job::Open(partition, reply) => {
                let done = group.open(partition);
                self.later(reply, done);
            }
            Job::Organization(organization, reply) => {
                let done = group.put_organization(&organization);
                self.later(reply, done);
            }
            Job::Service(service, reply) => {
                let done = group.put_service(*service);
                self.later(reply, done);
            }
            Job::Key(key, reply) => {
                let done = group.put_key(&key);
                self.later(reply, done);
            }
            Job::RemoveKey(id, reply) => {
                let done = group.remove_key(&id);
                self.later(reply, done);
            }
            Job::Forget(before, reply) => {
                let done = group.forget_claims(before);
                self.later(reply, done);
            }
            Job::Alert(job) => self.take_alert(job),
        }
    }

    /// The same for what changes an alert.
    fn take_alert(&mut self, job: AlertJob) {
        let group = &mut self.group;
        match job {
            AlertJob::Accept(alert, claim, reply) => {
                self.bytes += text_bytes(&alert);
                let done = group.accept_alert(*alert, claim);
                self.later(reply, done);
            }
            AlertJob::Status(change, reply) => {
                let done = group.set_alert_status(&change);
                self.later(reply, done);
            }
            AlertJob::Cancel(id, at, reply) => {
                let done = group.cancel_alert(id, at);
                self.later(reply, done);
            }
        }
    }

    /// Answers a failed job now, any other once the group is durable.
    fn later<T: Send + 'static>(&mut self, reply: Reply<T>, done: Result<T, StoreError>) {
        match done {
            // A caller that no longer waits needs no answer.
            Err(error) => drop(reply.send(Err(error))),
            Ok(value) => self.answers.push(Box::new(move |outcome| {
                drop(reply.send(outcome.map(|()| value)));
            })),
        }
    }

    /// Makes the group durable and answers its jobs.
    fn commit(&mut self) {
        let outcome = self.make_durable();
        if let Err(error) = &outcome {
            self.shared.fail(&error.to_string());
        }
        self.bytes = 0;
        for answer in self.answers.drain(..) {
            answer(outcome.clone());
        }
    }

    fn make_durable(&mut self) -> Result<(), StoreError> {
        if self.shared.failure().is_some() {
            return Err(self.shared.refusal());
        }
        let Some((batch, published)) = self.group.finish()? else { return Ok(()) };
        batch.commit().map_err(|error| match error {
            fjall::Error::Poisoned => {
                StoreError::Unavailable("a background write failed".to_owned())
            }
            other => StoreError::Unconfirmed(other.to_string()),
        })?;
        if let Err(error) = self.mark.write(published.number) {
            // A mark that lags is harmless (see `mark`), so the jobs stand.
            tracing::warn!(%error, "the commit mark cannot be written");
        }
        self.shared.publish(published);
        Ok(())
    }
}

fn text_bytes(alert: &Alert) -> usize {
    alert.texts.values().map(|text| text.subject.len() + text.markdown.len()).sum()
}

fn refuse(job: Job, error: &StoreError) {
    let error = error.clone();
    match job {
        Job::Accept(_, reply) => drop(reply.send(Err(error))),
        Job::Citizens(_, reply) => drop(reply.send(Err(error))),
        Job::Swap(_, _, reply) => drop(reply.send(Err(error))),
        Job::Mark(_, _, _, reply) => drop(reply.send(Err(error))),
        Job::Erase(_, reply) => drop(reply.send(Err(error))),
        Job::Open(_, reply) => drop(reply.send(Err(error))),
        Job::Step(_, _, _, reply)
        | Job::Organization(_, reply)
        | Job::Service(_, reply)
        | Job::Key(_, reply) => drop(reply.send(Err(error))),
        Job::RemoveKey(_, reply) => drop(reply.send(Err(error))),
        Job::Forget(_, reply) => drop(reply.send(Err(error))),
        Job::Alert(AlertJob::Accept(_, _, reply)) => drop(reply.send(Err(error))),
        Job::Alert(AlertJob::Status(_, reply) | AlertJob::Cancel(_, _, reply)) => {
            drop(reply.send(Err(error)));
        }
    }
}
