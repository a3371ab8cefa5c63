//! One server: a few connections that write, in groups, and two that read.
//!
//! # Group commit
//!
//! Redis makes all that arrives in one turn of its loop durable with one fsync,
//! and reads a connection no further than some 16 KiB a turn. So each of
//! [`WRITERS`] connections takes what waits for it, up to [`GROUP_COMMANDS`]
//! commands or [`GROUP_BYTES`] bytes, sends it as one pipeline and answers all
//! when its answers are there. While it waits, the next group gathers. With
//! replicas to wait for, each pipeline ends with one `WAIT`: it counts for all
//! that was written before on this very connection.
//!
//! # Limits
//!
//! [`WAITING`] writes wait for a connection; further ones wait for room until
//! they are out of time.

use redis::{Cmd, ConnectionInfo, Pipeline, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::connection::{Connection, Open, send};
use super::{Ask, Manner, Run};

/// Connections that write to one server.
const WRITERS: usize = 4;
/// Connections that read: each is read and taken apart by one task.
const READERS: usize = 2;
/// Most commands in a group.
const GROUP_COMMANDS: usize = 1_000;
/// Bytes after which a group is closed.
const GROUP_BYTES: usize = 256 << 10;
/// Writes that wait for one connection.
const WAITING: usize = 1_024;

/// Why there is no answer.
#[derive(Clone)]
pub(super) enum Fault {
    /// It was not carried out.
    Unsent(Arc<str>),
    /// It may have been carried out.
    Lost(Arc<str>),
    /// It was carried out, and too few replicas have it.
    Short {
        /// That have it.
        confirmed: u64,
        /// That should.
        wanted: u8,
    },
    /// It was not carried out: it is for another run than the one that is there.
    Replaced,
}

type Answer = Result<(Vec<Value>, Run), Fault>;

/// A write that waits for its group.
struct Job {
    ask: Arc<Ask>,
    /// Each of its commands is preceded by `ASKING`.
    asking: bool,
    /// Whoever sets it decides: the writer, that it is sent; who waits for it,
    /// that it never will be.
    decided: Arc<AtomicBool>,
    /// None: nobody waits.
    reply: Option<oneshot::Sender<Answer>>,
}

/// A server.
pub(super) struct Node {
    info: ConnectionInfo,
    writers: Vec<mpsc::Sender<Job>>,
    readers: Vec<Mutex<Connection>>,
    next_writer: AtomicUsize,
    next_reader: AtomicUsize,
    _tasks: JoinSet<()>,
}

impl Node {
    /// Starts its writers; nothing is connected before there is something to
    /// send.
    pub(super) fn start(info: ConnectionInfo, manner: &Arc<Manner>) -> Self {
        let mut tasks = JoinSet::new();
        let writers = (0..WRITERS).map(|_| {
            let (jobs, waiting) = mpsc::channel(WAITING);
            let connection = Connection::new(info.clone(), manner);
            tasks.spawn(Writer { connection, manner: Arc::clone(manner) }.run(waiting));
            jobs
        });
        let writers = writers.collect();
        let reader = || Mutex::new(Connection::new(info.clone(), manner));
        let readers = (0..READERS).map(|_| reader()).collect();
        let (next_writer, next_reader) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { info, writers, readers, next_writer, next_reader, _tasks: tasks }
    }

    /// How it is reached.
    pub(super) const fn info(&self) -> &ConnectionInfo {
        &self.info
    }

    /// Asks once.
    pub(super) async fn ask(
        &self,
        ask: Arc<Ask>,
        asking: bool,
        write: bool,
        deadline: Instant,
    ) -> Answer {
        let decided = Arc::new(AtomicBool::new(!write));
        let once = async {
            if write {
                self.write(ask, asking, Arc::clone(&decided)).await
            } else {
                self.read(&ask, asking).await
            }
        };
        match timeout_at(deadline, once).await {
            Ok(answer) => answer,
            Err(_) if decided.swap(true, Ordering::AcqRel) => {
                Err(Fault::Lost("no answer in time".into()))
            }
            Err(_) => Err(Fault::Unsent("no room in time".into())),
        }
    }

    /// Hands a write over without waiting for its answer.
    pub(super) fn write_later(&self, ask: Ask) {
        let decided = Arc::new(AtomicBool::new(false));
        let job = Job { ask: Arc::new(ask), asking: false, decided, reply: None };
        // Full: those who wait for an answer go first.
        drop(self.writer().try_send(job));
    }

    fn writer(&self) -> &mpsc::Sender<Job> {
        &self.writers[self.next_writer.fetch_add(1, Ordering::Relaxed) % WRITERS]
    }

    async fn write(&self, ask: Arc<Ask>, asking: bool, decided: Arc<AtomicBool>) -> Answer {
        let (reply, answer) = oneshot::channel();
        let job = Job { ask, asking, decided, reply: Some(reply) };
        if self.writer().send(job).await.is_err() {
            return Err(Fault::Unsent("its server is not used any more".into()));
        }
        answer.await.unwrap_or_else(|_| Err(Fault::Lost("its server is not used any more".into())))
    }

    async fn read(&self, ask: &Ask, asking: bool) -> Answer {
        let reader = &self.readers[self.next_reader.fetch_add(1, Ordering::Relaxed) % READERS];
        let Open { mut way, number, run } = match reader.lock().await.open().await {
            Ok(open) => open,
            Err(why) => return Err(Fault::Unsent(why.into())),
        };
        if !ask.is_for(run) {
            return Err(Fault::Replaced);
        }
        let mut pipeline = Pipeline::with_capacity(ask.commands.len());
        add(&mut pipeline, ask, asking);
        let sent = send(&mut way, &pipeline).await;
        let values = sent.map(|all| own(&mut all.into_iter(), ask.commands.len(), asking));
        if values.as_ref().map_or(true, |values| values.iter().any(is_stale)) {
            reader.lock().await.drop_open(number);
        }
        values.map(|values| (values, run)).map_err(|why| Fault::Lost(why.into()))
    }
}

impl Ask {
    fn is_for(&self, run: Run) -> bool {
        self.run.is_none_or(|wanted| wanted == run)
    }
}

fn add(pipeline: &mut Pipeline, ask: &Ask, asking: bool) {
    for command in &ask.commands {
        if asking {
            pipeline.add_command(redis::cmd("ASKING"));
        }
        pipeline.add_command(command.clone());
    }
}

/// The next `count` answers, without those of `ASKING`.
fn own(values: &mut impl Iterator<Item = Value>, count: usize, asking: bool) -> Vec<Value> {
    let mut own = Vec::with_capacity(count);
    for _ in 0..count {
        if asking {
            values.next();
        }
        own.extend(values.next());
    }
    own
}

/// One connection that writes.
struct Writer {
    connection: Connection,
    manner: Arc<Manner>,
}

impl Writer {
    /// Works until the server is not used any more.
    async fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        while let Some(first) = waiting.recv().await {
            let (mut group, mut commands, mut bytes) = (Vec::new(), 0, 0);
            let mut next = Some(first);
            while let Some(job) = next {
                commands += job.ask.commands.len();
                bytes += job.ask.commands.iter().map(size).sum::<usize>();
                group.push(job);
                let full = commands >= GROUP_COMMANDS || bytes >= GROUP_BYTES;
                next = if full { None } else { waiting.try_recv().ok() };
            }
            self.commit(group).await;
        }
    }

    /// Sends a group and answers its writes.
    async fn commit(&mut self, mut group: Vec<Job>) {
        let mut open = match self.connection.open().await {
            Ok(open) => open,
            Err(why) => return answer_all(group, &Fault::Unsent(why.into())),
        };
        let others = group.extract_if(.., |job| !job.ask.is_for(open.run)).collect();
        answer_all(others, &Fault::Replaced);
        // Whoever gave up meanwhile was told that it was not carried out.
        group.retain(|job| !job.decided.swap(true, Ordering::AcqRel));
        if group.is_empty() {
            return;
        }
        let usable = match self.send(&mut open, &group).await {
            Ok(values) => self.answer(group, values, open.run),
            Err(why) => {
                answer_all(group, &Fault::Lost(why.into()));
                false
            }
        };
        if !usable {
            self.connection.drop_open(open.number);
        }
    }

    async fn send(&self, open: &mut Open, group: &[Job]) -> Result<Vec<Value>, String> {
        let mut pipeline = Pipeline::new();
        for job in group {
            add(&mut pipeline, &job.ask, job.asking);
        }
        if self.counts(group) {
            // Something must be written on this connection, or `WAIT` has
            // nothing to wait for: an answer may rest on what others wrote.
            if let Some(pulse) = group.first().map(|job| &job.ask.pulse) {
                pipeline.cmd("SET").arg(pulse).arg(1);
            }
            let within = u64::try_from(self.manner.confirmed_within.as_millis());
            let within = within.unwrap_or(u64::MAX).max(1);
            pipeline.cmd("WAIT").arg(self.manner.replicas).arg(within);
        }
        send(&mut open.way, &pipeline).await
    }

    /// Whether replicas are counted behind this group.
    fn counts(&self, group: &[Job]) -> bool {
        self.manner.replicas > 0 && group.iter().any(|job| job.ask.confirmed)
    }

    /// Answers the writes of a group; whether the connection is of use.
    fn answer(&self, group: Vec<Job>, mut values: Vec<Value>, run: Run) -> bool {
        let wanted = self.manner.replicas;
        let confirmed = if self.counts(&group) { values.pop() } else { None };
        let confirmed = match confirmed {
            Some(Value::Int(count)) => u64::try_from(count).unwrap_or(0),
            _ => 0,
        };
        let short = confirmed < u64::from(wanted);
        let mut values = values.into_iter();
        let mut stale = false;
        for job in group {
            let own = own(&mut values, job.ask.commands.len(), job.asking);
            stale |= own.iter().any(is_stale);
            let carried_out = !own.iter().any(|value| matches!(value, Value::ServerError(_)));
            let answer = if short && carried_out && job.ask.confirmed {
                Err(Fault::Short { confirmed, wanted })
            } else {
                Ok((own, run))
            };
            job.answer(answer);
        }
        !stale
    }
}

/// Whether a connection is of no use any more: its server forgot the scripts,
/// or takes no writes.
fn is_stale(value: &Value) -> bool {
    let Value::ServerError(error) = value else { return false };
    matches!(error.code(), "NOSCRIPT" | "READONLY")
}

impl Job {
    fn answer(self, answer: Answer) {
        if let Some(reply) = self.reply {
            // A caller that no longer waits needs no answer.
            drop(reply.send(answer));
        }
    }
}

fn answer_all(group: Vec<Job>, fault: &Fault) {
    for job in group {
        job.answer(Err(fault.clone()));
    }
}

/// About how many bytes a command takes.
fn size(command: &Cmd) -> usize {
    command
        .args_iter()
        .map(|argument| match argument {
            redis::Arg::Simple(bytes) => bytes.len() + 8,
            _ => 8,
        })
        .sum()
}
