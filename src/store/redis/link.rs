//! The way to Redis: which server holds which slot, and asking it.
//!
//! Every question is about one slot, so that it can be sent, redirected and
//! repeated whole. A single server is a Cluster of one node that holds them
//! all. The crate's own cluster client is not used: a number of replicas can be
//! asked for only on the connection that took the writes, in the same pipeline,
//! and one pipeline carries questions about many slots of a master.
//!
//! # Repeating
//!
//! A question that failed is repeated until the deadline of its operation (see
//! `deadline`), or, if that has none, until [`RedisOptions::answered_within`] has
//! passed; then it is given up: `Unavailable` if it never left, `Unconfirmed` if
//! a write may have been carried out. So whatever is written must be safe to be
//! written twice; each caller says how.
//!
//! # Runs
//!
//! A server that took another's place, or was started again, may lack what was
//! answered before. So each connection learns which run of which server it leads
//! to; answers name it, and a question may be for one run alone.
//!
//! [`RedisOptions::answered_within`]: super::RedisOptions::answered_within

use redis::{Cmd, ConnectionInfo, ServerError, ServerErrorKind, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

use araldo_actors::port::store::StoreError;

use super::options::{OpenError, RedisOptions, Servers};
use node::{Fault, Node};
use topology::Topology;

mod connection;
mod node;
mod subscription;
mod topology;

pub(super) use subscription::{Push, Subscription};

/// Pauses between tries.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(80);

/// A run of a server, from its start to its end; 0: it does not tell which.
pub(super) type Run = u128;

/// A question about one slot.
pub(super) struct Ask {
    /// The slot its keys lie in.
    pub(super) slot: u16,
    /// What is asked.
    pub(super) commands: Vec<Cmd>,
    /// A key in the slot, written before replicas are counted.
    pub(super) pulse: String,
    /// Whether a write must have reached the replicas that count; without
    /// replicas to wait for it makes no difference.
    pub(super) confirmed: bool,
    /// It is for this run alone; none: for whoever holds the slot.
    pub(super) run: Option<Run>,
    /// When its operation must be over; none: it is one of its own.
    pub(super) deadline: Option<Instant>,
}

/// The answers to a question.
pub(super) struct Written {
    /// One for each command.
    pub(super) values: Vec<Value>,
    /// An earlier try may have been carried out before these answers.
    pub(super) repeated: bool,
    /// Who gave them.
    pub(super) run: Run,
}

/// How connections are made and used, the same for all servers.
pub(super) struct Manner {
    /// Replicas to be waited for, and how long.
    replicas: u8,
    confirmed_within: Duration,
    /// How long one try may take: a server that hangs leaves time for another.
    tried_within: Duration,
    answered_within: Duration,
}

/// The way to Redis.
pub(super) struct Link {
    servers: Vec<ConnectionInfo>,
    kind: Kind,
    manner: Arc<Manner>,
    topology: RwLock<Arc<Topology>>,
    /// By address; kept over changes of the topology.
    nodes: Mutex<HashMap<String, Arc<Node>>>,
    /// When the topology was last looked up; held while it is.
    looked: tokio::sync::Mutex<Option<Instant>>,
}

enum Kind {
    Single,
    Sentinel { name: String, master: Box<ConnectionInfo> },
    Cluster,
}

/// What an answer means for the question.
enum Verdict {
    /// Answered, and by whom.
    Answered(Vec<Value>, Run),
    /// Another node holds it for this once.
    Ask(String),
    /// Not carried out: ask again, after a look at the topology.
    Again(String),
    /// Refused.
    Refused(StoreError),
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// A way to the servers of `options`, which are not asked yet.
    pub(super) fn new(options: &RedisOptions) -> Result<Self, OpenError> {
        let read = |url: &String| connection::read_url(url);
        let (servers, kind) = match &options.servers {
            Servers::Single(url) => (vec![read(url)?], Kind::Single),
            Servers::Cluster(urls) => {
                (urls.iter().map(read).collect::<Result<Vec<_>, _>>()?, Kind::Cluster)
            }
            Servers::Sentinel { sentinels, name, master } => {
                let servers = sentinels.iter().map(read).collect::<Result<Vec<_>, _>>()?;
                let master = Box::new(read(master)?);
                (servers, Kind::Sentinel { name: name.clone(), master })
            }
        };
        if servers.is_empty() {
            return Err(OpenError::Address("there is none".to_owned()));
        }
        let manner = Manner {
            replicas: options.replicas,
            // Or the patience of a try would end before.
            confirmed_within: options.confirmed_within.min(options.answered_within * 11 / 20),
            tried_within: options.answered_within * 3 / 5,
            answered_within: options.answered_within,
        };
        Ok(Self {
            servers,
            kind,
            manner: Arc::new(manner),
            topology: RwLock::default(),
            nodes: Mutex::default(),
            looked: tokio::sync::Mutex::default(),
        })
    }

    /// Which servers, for errors.
    pub(super) fn at(&self) -> String {
        let names: Vec<String> = self.servers.iter().map(|one| one.addr().to_string()).collect();
        names.join(", ")
    }

    /// The servers that hold slots, looked up now.
    ///
    /// # Errors
    /// What the last of the servers answered, as text.
    pub(super) async fn masters(&self) -> Result<Vec<Master>, String> {
        self.refresh().await?;
        let nodes = locked(&self.nodes);
        let mut masters: Vec<Master> = nodes
            .values()
            .map(|node| Master { info: node.info().clone(), manner: Arc::clone(&self.manner) })
            .collect();
        masters.sort_by_key(Master::at);
        Ok(masters)
    }

    /// Reads; repeated until answered or out of time.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub(super) async fn read(&self, ask: Ask) -> Result<Written, StoreError> {
        self.ask(ask, false).await
    }

    /// Writes; repeated until answered or out of time.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing was written;
    /// [`StoreError::Unconfirmed`]: it may have been.
    pub(super) async fn write(&self, ask: Ask) -> Result<Written, StoreError> {
        self.ask(ask, true).await
    }

    /// Has something written without waiting for it; nobody hears if it was
    /// not.
    pub(super) fn write_later(&self, ask: Ask) {
        if let Some(node) = self.route(ask.slot) {
            node.write_later(ask);
        }
    }

    /// Whether replicas are waited for.
    pub(super) fn counts(&self) -> bool {
        self.manner.replicas > 0
    }

    /// How long an operation may take.
    pub(super) fn patience(&self) -> Duration {
        self.manner.answered_within
    }

    async fn ask(&self, ask: Ask, write: bool) -> Result<Written, StoreError> {
        let deadline = ask.deadline.unwrap_or_else(|| Instant::now() + self.patience());
        let ask = Arc::new(ask);
        let (mut repeated, mut pause) = (false, SHORTEST_PAUSE);
        let mut asking: Option<String> = None;
        let mut reason;
        loop {
            let found = match asking.take() {
                Some(address) => Some((self.node(&address), true)),
                None => self.route(ask.slot).map(|node| (node, false)),
            };
            let answer = match found {
                None => Err(Fault::Unsent("no server holds its slot".into())),
                Some((node, asking)) => node.ask(Arc::clone(&ask), asking, write, deadline).await,
            };
            reason = match answer.and_then(|answer| judge(answer, &ask)) {
                Ok(Verdict::Answered(values, run)) => return Ok(Written { values, repeated, run }),
                // An earlier try may have been carried out all the same.
                Ok(Verdict::Refused(StoreError::Unavailable(why))) if repeated && write => {
                    return Err(StoreError::Unconfirmed(why));
                }
                Ok(Verdict::Refused(error)) => return Err(error),
                // Some of its keys may be there already and others not yet.
                Ok(Verdict::Ask(_)) if ask.commands.len() > 1 => {
                    return Box::pin(self.ask_each(&ask, write, deadline)).await;
                }
                Ok(Verdict::Ask(address)) => {
                    asking = Some(address);
                    "its slot is being moved".to_owned()
                }
                Ok(Verdict::Again(why)) => why,
                Err(Fault::Unsent(why)) => why.to_string(),
                Err(Fault::Lost(why)) => {
                    repeated = true;
                    why.to_string()
                }
                Err(Fault::Short { confirmed, wanted }) => {
                    // Cut off from its replicas, it may not be the master any more.
                    self.look(deadline, pause).await;
                    let why = format!("{confirmed} replicas of {wanted} have it");
                    return Err(StoreError::Unconfirmed(why));
                }
                Err(Fault::Replaced) if repeated && write => {
                    return Err(StoreError::Unconfirmed(WENT_BACK.to_owned()));
                }
                Err(Fault::Replaced) => return Err(went_back()),
            };
            if asking.is_none() {
                self.look(deadline, pause).await;
            }
            if Instant::now() + pause >= deadline {
                break;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Err(if repeated && write {
            StoreError::Unconfirmed(format!("Redis did not answer in time: {reason}"))
        } else {
            StoreError::Unavailable(format!("Redis: {reason}"))
        })
    }

    /// Asks one command after the other, each wherever its key is.
    async fn ask_each(
        &self,
        ask: &Ask,
        write: bool,
        deadline: Instant,
    ) -> Result<Written, StoreError> {
        let mut all = Written { values: Vec::new(), repeated: false, run: 0 };
        for command in &ask.commands {
            let one = Ask {
                slot: ask.slot,
                commands: vec![command.clone()],
                pulse: ask.pulse.clone(),
                confirmed: ask.confirmed,
                run: ask.run,
                deadline: Some(deadline),
            };
            let one = self.ask(one, write).await?;
            all.values.extend(one.values);
            (all.repeated, all.run) = (all.repeated | one.repeated, one.run);
        }
        Ok(all)
    }

    /// The node that holds a slot.
    fn route(&self, slot: u16) -> Option<Arc<Node>> {
        let topology = Arc::clone(&self.topology.read().unwrap_or_else(PoisonError::into_inner));
        topology.node(slot)
    }

    /// The node at an address, known or not.
    fn node(&self, address: &str) -> Arc<Node> {
        let mut nodes = locked(&self.nodes);
        if let Some(node) = nodes.get(address) {
            return Arc::clone(node);
        }
        let info = match &self.kind {
            Kind::Single => self.servers[0].clone(),
            Kind::Sentinel { master, .. } => connection::at(master, address),
            Kind::Cluster => connection::at(&self.servers[0], address),
        };
        let node = Arc::new(Node::start(info, &self.manner));
        nodes.insert(address.to_owned(), Arc::clone(&node));
        node
    }

    /// Waits, then looks up who holds what, unless somebody just did.
    async fn look(&self, deadline: Instant, pause: Duration) {
        let began = Instant::now();
        sleep(pause).await;
        let looking = async {
            let mut looked = self.looked.lock().await;
            if looked.is_some_and(|at| at >= began) {
                return;
            }
            // What cannot be looked up stays as it was: the try that follows
            // tells.
            drop(self.refresh().await);
            *looked = Some(Instant::now());
        };
        // Out of time: the caller gives up.
        drop(timeout_at(deadline, looking).await);
    }

    /// Looks up who holds what.
    ///
    /// # Errors
    /// What the last of the servers answered, as text.
    pub(super) async fn refresh(&self) -> Result<(), String> {
        let found = match &self.kind {
            Kind::Single => {
                let address = self.servers[0].addr().to_string();
                vec![(0, super::key::SLOTS - 1, address)]
            }
            Kind::Sentinel { name, .. } => {
                let master = topology::ask_sentinels(&self.servers, name, &self.manner).await?;
                vec![(0, super::key::SLOTS - 1, master)]
            }
            Kind::Cluster => {
                let mut servers = self.servers.clone();
                servers.extend(locked(&self.nodes).values().map(|node| node.info().clone()));
                topology::ask_cluster(&servers, &self.manner).await?
            }
        };
        let ranges: Vec<_> =
            found.iter().map(|(first, last, at)| (*first, *last, self.node(at))).collect();
        *self.topology.write().unwrap_or_else(PoisonError::into_inner) =
            Arc::new(Topology::new(&ranges));
        // Connections to servers that hold nothing any more are closed.
        locked(&self.nodes).retain(|address, _| found.iter().any(|(_, _, at)| at == address));
        Ok(())
    }
}

/// A server that holds slots, for questions about itself.
pub(super) struct Master {
    info: ConnectionInfo,
    manner: Arc<Manner>,
}

impl Master {
    /// Its address.
    pub(super) fn at(&self) -> String {
        self.info.addr().to_string()
    }

    /// Asks it; one answer for each question, refusals among them.
    ///
    /// # Errors
    /// Why there are none, as text.
    pub(super) async fn ask(&self, questions: &[Cmd]) -> Result<Vec<Value>, String> {
        let mut open = connection::Connection::new(self.info.clone(), &self.manner).bare().await?;
        let mut pipeline = redis::pipe();
        for question in questions {
            pipeline.add_command(question.clone());
        }
        connection::send(&mut open, &pipeline).await
    }
}

const WENT_BACK: &str = "the store may have gone back to an earlier state: \
                         its server was replaced or started again";

/// The error of a question whose answer would not fit what was answered before.
pub(super) fn went_back() -> StoreError {
    StoreError::Unavailable(WENT_BACK.to_owned())
}

/// What the answers mean: the first error decides.
fn judge((values, run): (Vec<Value>, Run), ask: &Ask) -> Result<Verdict, Fault> {
    if values.len() != ask.commands.len() {
        return Err(Fault::Lost("an answer was incomplete".into()));
    }
    let error = values.iter().find_map(|value| match value {
        Value::ServerError(error) => Some(error),
        _ => None,
    });
    Ok(match error {
        Some(error) => refused(error),
        None => Verdict::Answered(values, run),
    })
}

fn refused(error: &ServerError) -> Verdict {
    let moved = || Verdict::Again("its slot was moved".to_owned());
    match error.kind() {
        Some(ServerErrorKind::Moved) => moved(),
        Some(ServerErrorKind::Ask) => redirect(error).map_or_else(moved, Verdict::Ask),
        Some(
            ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::BusyLoading
            | ServerErrorKind::NoScript,
        ) => Verdict::Again(format!("it answered {}", error.code())),
        _ if matches!(error.code(), "BUSY" | "NOREPLICAS") => {
            Verdict::Again(format!("it answered {}", error.code()))
        }
        // Its text may repeat what was sent.
        _ if matches!(error.code(), "WRONGTYPE") => Verdict::Refused(StoreError::Damaged(
            "a key in Redis holds something that is not ours".to_owned(),
        )),
        _ => Verdict::Refused(StoreError::Unavailable(format!(
            "Redis refused with {}",
            error.code()
        ))),
    }
}

/// The address in a redirection: `slot host:port`.
fn redirect(error: &ServerError) -> Option<String> {
    let (_, address) = error.details()?.split_once(' ')?;
    (!address.starts_with(':')).then(|| address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Ask, Fault, Value, judge};

    #[test]
    fn an_incomplete_answer_may_be_that_of_a_write_that_was_carried_out() {
        let commands = vec![redis::cmd("GET")];
        let (pulse, confirmed) = (String::new(), true);
        let ask = Ask { slot: 0, commands, pulse, confirmed, run: None, deadline: None };
        assert!(matches!(judge((vec![], 1), &ask), Err(Fault::Lost(_))));
        assert!(judge((vec![Value::Nil], 1), &ask).is_ok());
    }
}
