//! The assembly: spawns and wires all actors in one function, sink first, so
//! that everyone's addressee lives before anyone can speak to it.

use futures_util::future::{join_all, join3};
use ractor::{Actor, ActorRef, SpawnErr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::actor::citizen::World;
use crate::actor::herald::{self, Herald};
use crate::actor::hub::{self, HUBS, House, Hub};
use crate::actor::keeper::{self, Keeper, KeeperMessage};
use crate::actor::partition::{self, Partition};
use crate::actor::route::{self, Route};
use crate::actor::sweeper::{Broom, Sweeper};
use crate::actor::teller::{self, Teller};
use crate::actor::ticker::{Audience, Ticker};
use crate::alert::AlertBoard;
use crate::board::Board;
use crate::budget::LocalBudget;
use crate::cluster::{Gate, Outbox, Peers};
use crate::directory::Directory;
use crate::domain::id::{NodeId, PartitionId, RouteId};
use crate::domain::notification::Carrier;
use crate::engine::{Engine, Inner};
use crate::erasure::{Eraser, ErasureKey, Requests};
use crate::live::LiveLimits;
use crate::message::hub::HubHandle;
use crate::message::partition::{PartitionHandle, PartitionMessage};
use crate::message::route::{RouteHandle, RouteMessage};
use crate::policy::admission::{Admission, AdmissionLimits};
use crate::policy::backoff::RetryPolicy;
use crate::policy::breaker::BreakerLimits;
use crate::policy::rate::Rate;
use crate::policy::restart::Intensity;
use crate::policy::turn::{RouteEntry, RouteTable};
use crate::port::budget::Budget;
use crate::port::clock::Clock;
use crate::port::cluster::Cluster;
use crate::port::provider::Connector;
use crate::port::rng::Rng;
use crate::port::store::{Store, StoreError};
use crate::supervise::{Address, Child, Children, Supervisor};

pub use crate::actor::partition::PartitionLimits;

/// Limits of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Slices of the citizens; fixed when the store is created.
    pub partitions: u16,
    /// Limits of each partition.
    pub partition: PartitionLimits,
    /// Limits of the intake.
    pub admission: AdmissionLimits,
    /// Limits of the live sessions.
    pub live: LiveLimits,
    /// How long an `Idempotency-Key` is remembered.
    pub claims_kept: Duration,
    /// Names erased citizens in the records of their erasure.
    pub erasure_key: ErasureKey,
    /// Restarts that each supervisor takes for bad luck.
    pub intensity: Intensity,
}

/// This process as one of those that share the store.
#[derive(Clone)]
pub struct Membership {
    /// The others.
    pub cluster: Arc<dyn Cluster>,
    /// What they know of it.
    pub node: NodeOptions,
}

/// What a process tells its peers of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeOptions {
    /// Its name, different from every other's.
    pub id: NodeId,
    /// Another one for each start.
    pub incarnation: u128,
    /// Where its HTTP API is reached.
    pub address: String,
    /// The version it runs.
    pub version: String,
}

/// What the engine stands on.
#[derive(Clone)]
pub struct Ports {
    /// Everything durable.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// The nodes that share the store; none: this process is the only one.
    pub cluster: Option<Membership>,
    /// What routes may start, of all nodes together; none: this process shares
    /// its routes with nobody.
    pub budget: Option<Arc<dyn Budget>>,
}

/// One configured route.
pub struct RouteOptions {
    /// Its name.
    pub id: RouteId,
    /// What it carries.
    pub carrier: Carrier,
    /// Opens its connections.
    pub connector: Arc<dyn Connector>,
    /// How many.
    pub connections: usize,
    /// How failures are retried.
    pub retry: RetryPolicy,
    /// When to stop knocking.
    pub breaker: BreakerLimits,
    /// Attempts a second of all nodes together; none: no limit.
    pub rate: Option<Rate>,
}

/// Why the engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The registry could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An actor could not start; its own sentence.
    #[error("{0}")]
    Actor(String),
}

impl From<SpawnErr> for StartError {
    fn from(error: SpawnErr) -> Self {
        match error {
            SpawnErr::StartupFailed(cause) => Self::Actor(cause.to_string()),
            other => Self::Actor(other.to_string()),
        }
    }
}

/// A running engine.
pub struct Running {
    /// The handle for the outside.
    pub engine: Engine,
    handles: Arc<[PartitionHandle]>,
    routes: Vec<Address<RouteMessage>>,
    /// Who has the partitions, if this process is one of several.
    keeper: Option<Address<KeeperMessage>>,
    root: ActorRef<()>,
    ended: JoinHandle<()>,
}

/// Starts the engine: takes every partition over and opens the routes.
///
/// # Errors
/// [`StartError`], with one sentence for the operator.
pub async fn start(
    options: EngineOptions,
    ports: Ports,
    routes: Vec<RouteOptions>,
) -> Result<Running, StartError> {
    let directory = Arc::new(Directory::new(ports.store.registry().await?));
    let board = Arc::new(Board::new(options.partitions));
    let shared = Shared::new(ports.cluster.as_ref());
    let handles: Arc<[PartitionHandle]> =
        (0..options.partitions).map(|_| PartitionHandle::default()).collect();
    let world = Arc::new(World {
        directory: Arc::clone(&directory),
        routes: RouteTable::new(routes.iter().map(RouteOptions::entry).collect()),
        clock: Arc::clone(&ports.clock),
        rng: Arc::clone(&ports.rng),
    });
    let hubs = hubs(&options);
    let (store, services) = (Arc::clone(&ports.store), Arc::clone(&directory));
    let alerts = AlertBoard::open(store, services, Arc::clone(&handles)).await?;
    let alerts = Arc::new(alerts.telling(Arc::clone(&shared.outbox)));
    let budget = budget(&ports);
    let assembly = Assembly { options, ports, board, budget, handles, hubs, alerts, world, shared };
    let contexts: Vec<_> = routes.into_iter().map(|route| assembly.route(route)).collect();
    let reached: Vec<_> = contexts.iter().map(|context| context.handle.clone()).collect();
    let (push, email) = contexts.into_iter().partition(|context| context.carrier != Carrier::Email);
    let routes_of = |contexts: Vec<_>| contexts.into_iter().map(route_child).collect();
    let mut members = assembly.members(&reached);
    let routes: Vec<_> = reached.into_iter().map(|handle| handle.address).collect();
    let audience = Audience { partitions: Arc::clone(&assembly.handles), routes: routes.clone() };
    let broom = assembly.broom();
    let mut children = vec![
        supervisor_child("push", assembly.children(routes_of(push))),
        supervisor_child("email", assembly.children(routes_of(email))),
        supervisor_child("in-app", assembly.children(assembly.live())),
    ];
    children.append(&mut members);
    children.push(Child::of("ticker", || Ticker, move |_| audience.clone()));
    children.push(Child::of("sweeper", || Sweeper, move |_| broom.clone()));
    let (root, ended) = Actor::spawn(None, Supervisor, assembly.children(children)).await?;
    let eraser = assembly.eraser();
    let Assembly { options, ports, board, handles, hubs, alerts, shared, .. } = assembly;
    let Shared { gate, outbox, peers, keeper, .. } = shared;
    let engine = Engine::new(Inner {
        store: ports.store,
        clock: ports.clock,
        rng: ports.rng,
        directory,
        board,
        admission: Admission::new(options.admission),
        partitions: Arc::clone(&handles),
        hubs,
        alerts,
        eraser,
        gate,
        outbox,
        peers,
        membership: ports.cluster,
    });
    Ok(Running { engine, handles, routes, keeper, root, ended })
}

impl RouteOptions {
    fn entry(&self) -> RouteEntry {
        RouteEntry { id: self.id.clone(), carrier: self.carrier, retry: self.retry }
    }
}

/// What routes draw from: the fleet's budgets, or those of this process.
fn budget(ports: &Ports) -> Arc<dyn Budget> {
    match &ports.budget {
        Some(shared) => Arc::clone(shared),
        None => Arc::new(LocalBudget::new(Arc::clone(&ports.clock))),
    }
}

/// The hubs' handles: no more than partitions, since a partition has one hub.
fn hubs(options: &EngineOptions) -> Arc<[HubHandle]> {
    let count = HUBS.min(options.partitions).max(1);
    let sessions = options.live.max_sessions.div_ceil(usize::from(count));
    (0..count).map(|_| HubHandle::new(sessions)).collect()
}

/// What the parts are made from.
struct Assembly {
    options: EngineOptions,
    ports: Ports,
    board: Arc<Board>,
    budget: Arc<dyn Budget>,
    handles: Arc<[PartitionHandle]>,
    hubs: Arc<[HubHandle]>,
    alerts: Arc<AlertBoard>,
    world: Arc<World>,
    shared: Shared,
}

/// What joins this process to the others, or keeps it by itself.
struct Shared {
    gate: Arc<Gate>,
    outbox: Arc<Outbox>,
    peers: Arc<Peers>,
    requests: Arc<Requests>,
    keeper: Option<Address<KeeperMessage>>,
}

impl Shared {
    fn new(membership: Option<&Membership>) -> Self {
        let (gate, outbox) = match membership {
            None => (Gate::open(), Outbox::default()),
            Some(_) => (Gate::closed(), Outbox::clustered()),
        };
        Self {
            gate: Arc::new(gate),
            outbox: Arc::new(outbox),
            peers: Arc::default(),
            requests: Arc::default(),
            keeper: membership.map(|_| Address::default()),
        }
    }
}

impl Assembly {
    /// Who has the partitions: a supervisor has all of them, or a keeper those
    /// that are meant for this process, with who tells the others and who hears
    /// them. The herald comes before the keeper: it hears what is told from the
    /// first sign of life on.
    fn members(&self, routes: &[RouteHandle]) -> Vec<Child> {
        let slices = self.partitions(routes);
        let (Some(membership), Some(keeper)) = (&self.ports.cluster, &self.shared.keeper) else {
            let slices = slices.into_iter().map(partition_child).collect();
            return vec![supervisor_child("partitions", self.children(slices))];
        };
        let (outbox, cluster) = (Arc::clone(&self.shared.outbox), Arc::clone(&membership.cluster));
        let teller = Arc::new(teller::Context { outbox, cluster });
        let herald = Arc::new(self.herald(membership, keeper, routes));
        let keeper = Arc::new(self.keeper(membership, keeper, slices));
        vec![
            Child::of("teller", || Teller, move |_| Arc::clone(&teller)),
            Child::of("herald", || Herald, move |_| Arc::clone(&herald)),
            Child::of("keeper", || Keeper, move |_| Arc::clone(&keeper)),
        ]
    }

    fn herald(
        &self,
        membership: &Membership,
        keeper: &Address<KeeperMessage>,
        routes: &[RouteHandle],
    ) -> herald::Context {
        herald::Context {
            cluster: Arc::clone(&membership.cluster),
            store: Arc::clone(&self.ports.store),
            gate: Arc::clone(&self.shared.gate),
            directory: Arc::clone(&self.world.directory),
            alerts: Arc::clone(&self.alerts),
            partitions: Arc::clone(&self.handles),
            hubs: Arc::clone(&self.hubs),
            routes: routes.to_vec(),
            keeper: keeper.clone(),
            eraser: self.eraser(),
            told: tokio::sync::Mutex::new(membership.cluster.listen()),
        }
    }

    fn keeper(
        &self,
        membership: &Membership,
        keeper: &Address<KeeperMessage>,
        slices: Vec<Arc<partition::Context>>,
    ) -> keeper::Context {
        keeper::Context {
            cluster: Arc::clone(&membership.cluster),
            node: membership.node.clone(),
            slices,
            board: Arc::clone(&self.board),
            clock: Arc::clone(&self.ports.clock),
            peers: Arc::clone(&self.shared.peers),
            outbox: Arc::clone(&self.shared.outbox),
            hubs: Arc::clone(&self.hubs),
            intensity: self.options.intensity,
            leaving: AtomicBool::new(false),
            address: keeper.clone(),
            generations: AtomicU64::new(0),
        }
    }

    fn route(&self, route: RouteOptions) -> Arc<route::Context> {
        Arc::new(route::Context {
            handle: RouteHandle::new(route.id),
            carrier: route.carrier,
            connector: route.connector,
            connections: route.connections,
            breaker: route.breaker,
            guard: Arc::default(),
            gate: Arc::clone(&self.shared.gate),
            outbox: Arc::clone(&self.shared.outbox),
            intensity: self.options.intensity,
            clock: Arc::clone(&self.ports.clock),
            board: Arc::clone(&self.board),
            rate: route.rate,
            budget: Arc::clone(&self.budget),
        })
    }

    fn partitions(&self, routes: &[RouteHandle]) -> Vec<Arc<partition::Context>> {
        let context = |id| {
            Arc::new(partition::Context {
                id: PartitionId(id),
                limits: self.options.partition,
                store: Arc::clone(&self.ports.store),
                world: Arc::clone(&self.world),
                board: Arc::clone(&self.board),
                handles: Arc::clone(&self.handles),
                routes: routes.to_vec(),
                current: Arc::new(AtomicU64::new(0)),
                epoch: AtomicU64::new(0),
                leased_for: self.ports.cluster.as_ref().map(|one| one.cluster.lease()),
                outbox: Arc::clone(&self.shared.outbox),
                hubs: Arc::clone(&self.hubs),
                alerts: Arc::clone(&self.alerts),
            })
        };
        (0..self.options.partitions).map(context).collect()
    }

    /// The hubs of the in-app channel.
    fn live(&self) -> Vec<Child> {
        let house = Arc::new(House::new(self.options.live));
        let child = |index| {
            let (hubs, house) = (Arc::clone(&self.hubs), Arc::clone(&house));
            let context = Arc::new(hub::Context { hubs, index, house });
            Child::of(format!("hub {index}"), || Hub, move |_| Arc::clone(&context))
        };
        (0..self.hubs.len()).map(child).collect()
    }

    fn eraser(&self) -> Eraser {
        Eraser {
            key: self.options.erasure_key,
            partitions: Arc::clone(&self.handles),
            cluster: self.ports.cluster.as_ref().map(|one| Arc::clone(&one.cluster)),
            rng: Arc::clone(&self.ports.rng),
            requests: Arc::clone(&self.shared.requests),
        }
    }

    fn broom(&self) -> Broom {
        Broom {
            eraser: self.eraser(),
            store: Arc::clone(&self.ports.store),
            clock: Arc::clone(&self.ports.clock),
            alerts: Arc::clone(&self.alerts),
            claims_kept: self.options.claims_kept,
        }
    }

    fn children(&self, children: Vec<Child>) -> Children {
        Children::new(children, self.options.intensity, Arc::clone(&self.ports.clock))
    }
}

fn partition_child(context: Arc<partition::Context>) -> Child {
    let name = format!("partition {}", context.id);
    Child::of(name, || Partition, move |generation| (Arc::clone(&context), generation))
}

fn route_child(context: Arc<route::Context>) -> Child {
    let name = format!("route {}", context.handle.id);
    Child::of(name, || Route, move |_| Arc::clone(&context))
}

/// A supervisor under the root. Its failure is the engine's: it has already
/// restarted its children as often as bad luck explains, so it is not
/// started again.
fn supervisor_child(name: &str, children: Children) -> Child {
    let children = std::sync::Mutex::new(Some(children));
    Child::new(
        name,
        Box::new(move |_generation, parent| {
            let children = children.lock().ok().and_then(|mut held| held.take());
            Box::pin(async move {
                let children = children
                    .ok_or_else(|| SpawnErr::StartupFailed("its children keep failing".into()))?;
                Ok(Actor::spawn_linked(None, Supervisor, children, parent).await?.0.get_cell())
            })
        }),
    )
}

impl Running {
    /// Resolves when the engine has ended by itself: a supervisor gave up.
    pub async fn ended(&mut self) {
        // A join error would mean that the root was aborted: also an end.
        let _ = (&mut self.ended).await;
    }

    /// Ends in order: routes finish what is in flight and hand back what is
    /// queued, partitions start nothing new and store what they hear, then
    /// everything stops. Work
    /// not finished within `deadline` is left to the next start.
    pub async fn shutdown(self, deadline: Duration) {
        let routes = drain(&self.routes, |route, done| route.cast(RouteMessage::Drain { done }));
        // A keeper drains its partitions and gives them back.
        let keeper: Vec<_> = self.keeper.into_iter().collect();
        let left = drain(&keeper, |keeper, done| keeper.cast(KeeperMessage::Leave { done }));
        let alone = if keeper.is_empty() { &self.handles[..] } else { &[] };
        let partitions = drain(alone, |partition, done| {
            partition.address.cast(PartitionMessage::Drain { done })
        });
        let drained = join3(routes, partitions, left);
        if tokio::time::timeout(deadline, drained).await.is_err() {
            tracing::warn!("not everything in flight finished in time; it will be repeated");
        }
        self.root.stop(None);
        let _ = tokio::time::timeout(deadline, self.ended).await;
    }
}

/// Tells each of `actors` to drain, at once, and returns the wait for all.
fn drain<A>(
    actors: &[A],
    tell: impl Fn(&A, oneshot::Sender<()>) -> bool,
) -> impl Future<Output = ()> {
    let tell = |actor| {
        let (done, drained) = oneshot::channel();
        tell(actor, done);
        drained
    };
    let waits: Vec<_> = actors.iter().map(tell).collect();
    // An actor that died meanwhile drops its sender: nothing to wait for.
    async { drop(join_all(waits).await) }
}
